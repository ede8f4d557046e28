"""The numbers of a sweep, by row, task and seed. A missing number is None, and so is a mean over it."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dcft.errors import UserError
from dcft.results import items, predictions, protocols, tuning
from dcft.results.costs import Cost
from dcft.results.items import Runs
from dcft.results.record import Record
from dcft.results.statistics import summary
from dcft.results.sweeps import Row, Sweep

if TYPE_CHECKING:
    import pyarrow


class Outcomes:
    """The records of a sweep, read by a protocol; of a tuned sweep, those of the chosen trials.

    Args:
        sweep: what was planned.
        results: the folder with the records.
        protocol: a key of `protocols.PROTOCOLS`.

    Raises:
        UserError: if there is no such protocol.
    """

    def __init__(self, sweep: Sweep, results: Path, protocol: str):
        if protocol not in protocols.PROTOCOLS:
            raise UserError(
                f"protocol={protocol}: there is no such protocol; give one of {', '.join(protocols.PROTOCOLS)}"
            )
        self.results = results
        self.protocol = protocol
        found, self.bad = sweep.by_name(results)
        self.tuning = tuning.judge(sweep, found, protocol) if sweep.trials else None
        self.sweep = replace(sweep, cells=self.tuning.kept(sweep.cells)) if self.tuning else sweep
        places = {(cell.row, cell.task, cell.seed): cell.name for cell in self.sweep.cells}
        self.records = {place: found[name] for place, name in places.items() if name in found}
        histories = {place: record.history if record.done else [] for place, record in self.records.items()}
        self.metrics = {place: protocols.evaluation(history, protocol) for place, history in histories.items()}
        self.paths = {(cell.row, cell.task, cell.seed): cell.record for cell in self.sweep.cells}

    @property
    def done(self) -> list[Record]:
        """The records of finished runs, each once."""
        return list({record.cell: record for record in self.records.values() if record.done}.values())

    def series(self, row: int, task: str, metric: str = "score") -> list[float | None]:
        """One number a seed, in percent; `task` may be "average"."""
        if task == "average":
            return self._average([self.series(row, column.task, metric) for column in self.sweep.columns])
        by_seed = [self.metrics.get((row, task, seed)) for seed in self.sweep.seeds]
        return [metrics and metrics[metric] for metrics in by_seed]

    def runs(self, row: int, task: str) -> Runs | None:
        """The answers of a row on a task, one run a seed.

        None if a seed has none that the protocol chooses, or if the score's metric cannot be resampled.

        Raises:
            UserError: if a file of predictions is not the one that its record names.
        """
        tables = [self._answers((row, task, seed)) for seed in self.sweep.seeds]
        metrics = next(column.score for column in self.sweep.columns if column.task == task)
        try:
            known = [table for table in tables if table is not None]
            half = protocols.PROTOCOLS[self.protocol].half
            return Runs(known, metrics, half) if len(known) == len(tables) else None
        except KeyError:
            return None

    def floor(self, task: str) -> float | None:
        """The score of a run that has learned nothing (`items.constant`); None without a run's answers."""
        answers = (self._answers(place) for place in self.records if place[1] == task)
        table = next((table for table in answers if table is not None), None)
        metrics = next(column.score for column in self.sweep.columns if column.task == task)
        return None if table is None else items.constant(table, metrics)

    def _answers(self, place: tuple[int, str, int]) -> "pyarrow.Table | None":
        record = self.records.get(place)
        chosen = protocols.choose(record.history, self.protocol) if record and record.done else None
        return (predictions.read(self.results, record) or {}).get(chosen.step) if record and chosen else None

    def seconds(self, row: int, task: str) -> list[float | None]:
        """Training time of each seed, without evaluations; `task` may be "average"."""
        if task == "average":
            return self._average([self.seconds(row, column.task) for column in self.sweep.columns])
        by_seed = [self.records.get((row, task, seed)) for seed in self.sweep.seeds]
        return [record.time.train_s if record and record.done else None for record in by_seed]

    def cost(self, row: int, task: str, cost: Cost) -> float | None:
        """The mean of a kind of cost over seeds."""
        by_seed = [self.records.get((row, task, seed)) for seed in self.sweep.seeds]
        over_seeds = summary([cost.of(record) if record and record.done else None for record in by_seed])
        return over_seeds and over_seeds.mean

    @staticmethod
    def _average(tasks: list[list[float | None]]) -> list[float | None]:
        """The mean over tasks, seed by seed."""
        return [
            None if any(v is None for v in values) else sum(values) / len(values) for values in zip(*tasks, strict=True)
        ]

    def record_paths(self, row: int, task: str) -> list[str]:
        """The records of a row on a task (on all tasks for "average"), as paths below the results folder."""
        tasks = [column.task for column in self.sweep.columns] if task == "average" else [task]
        places = [(row, task, seed) for task in tasks for seed in self.sweep.seeds]
        return list(dict.fromkeys(self.paths[place] for place in places if place in self.records))

    def adapter_size(self, row: int) -> tuple[int, str] | None:
        """The number of parameters that the row's method trains, and the path of a record that says so.

        None without a record, or if the number differs between tasks.
        """
        places = [place for place, record in self.records.items() if place[0] == row and record.params]
        sizes = {self.records[place].params.adapter for place in places}
        return (sizes.pop(), self.paths[places[0]]) if len(sizes) == 1 else None

    def blocks(self) -> dict[str, list[tuple[int, Row]]]:
        """The rows of each backbone with their numbers, by the backbone's title."""
        blocks: dict[str, list[tuple[int, Row]]] = {}
        for index, row in enumerate(self.sweep.rows):
            blocks.setdefault(row.model_title, []).append((index, row))
        return blocks
