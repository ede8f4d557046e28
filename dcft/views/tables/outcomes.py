"""What the records of a sweep say: numbers by row, column and seed. Missing is None, and so is a mean over it."""

from pathlib import Path

from dcft.errors import UserError
from dcft.results import protocols
from dcft.results.statistics import Summary, summary
from dcft.results.sweeps import Column, Row, Sweep
from dcft.views.tables.grid import Part, Value, decimal

UNITS = {"h": 3600.0, "min": 60.0, "s": 1.0}  # of times, in seconds
SMALLEST = 0.1  # the smallest time shown in a unit: two digits of it are left


class Outcomes:
    """The records of a sweep, read by a protocol.

    Args:
        sweep: what was planned.
        results: the folder with the records.
        protocol: a key of `protocols.PROTOCOLS`.

    Raises:
        UserError: if there is no such protocol, or a file is not a record.
    """

    def __init__(self, sweep: Sweep, results: Path, protocol: str):
        if protocol not in protocols.PROTOCOLS:
            raise UserError(
                f"protocol={protocol}: there is no such protocol; give one of {', '.join(protocols.PROTOCOLS)}"
            )
        self.sweep = sweep
        self.protocol = protocol
        self.records = sweep.records(results)
        self.metrics = {place: protocols.evaluation(record, protocol) for place, record in self.records.items()}
        self.paths = {(cell.row, cell.task, cell.seed): cell.record for cell in sweep.cells}
        self.unit = self._unit()

    @property
    def done(self) -> list[dict]:
        """The records of finished runs, each once."""
        return list({r["cell"]: r for r in self.records.values() if r["status"] == "done"}.values())

    def series(self, row: int, task: str, metric: str = "score") -> list[float | None]:
        """One number a seed, in percent; `task` may be "average"."""
        if task == "average":
            return self._average([self.series(row, column.task, metric) for column in self.sweep.columns])
        found = [self.metrics.get((row, task, seed)) for seed in self.sweep.seeds]
        return [metrics and metrics[metric] for metrics in found]

    def seconds(self, row: int, task: str) -> list[float | None]:
        """Training time of each seed, without evaluations; `task` may be "average"."""
        if task == "average":
            return self._average([self.seconds(row, column.task) for column in self.sweep.columns])
        found = [self.records.get((row, task, seed)) for seed in self.sweep.seeds]
        return [record["time"]["train_s"] if record and record["status"] == "done" else None for record in found]

    @staticmethod
    def _average(tasks: list[list[float | None]]) -> list[float | None]:
        """The mean over tasks, seed by seed."""
        return [
            None if any(v is None for v in values) else sum(values) / len(values) for values in zip(*tasks, strict=True)
        ]

    def _unit(self) -> str:
        """The largest unit in which no time shown is too small to read."""
        tasks = [column.task for column in self.sweep.columns]
        found = [summary(self.seconds(row, task)) for row in range(len(self.sweep.rows)) for task in tasks]
        shortest = min((one.mean for one in found if one), default=3600.0)
        return next((unit for unit, seconds in UNITS.items() if shortest >= SMALLEST * seconds), "s")

    def score(self, row: int, column: Column) -> Value:
        """A row's cell under a task: mean and spread over seeds of each metric that is printed."""
        found = [(name, summary(self.series(row, column.task, name))) for name in column.metrics]
        separator = "/" if column.metrics == column.score else " / "  # as the paper prints MNLI's and SQuAD's pairs
        return self._value(row, column.task, found, separator)

    def average(self, row: int) -> Value:
        """A row's mean over tasks."""
        return self._value(row, "average", [("score", summary(self.series(row, "average")))])

    def time(self, row: int, task: str) -> Value:
        """A row's training time on a task, or its mean over tasks ("average")."""
        seconds = [s and s / UNITS[self.unit] for s in self.seconds(row, task)]
        return self._value(row, task, [("train_time", summary(seconds))], unit=self.unit)

    def _value(
        self, row: int, task: str, found: list[tuple[str, Summary | None]], separator: str = "/", unit: str = ""
    ) -> Value:
        if any(one is None for _, one in found):
            return Value()
        parts = []
        for name, one in found:
            spread = "" if one.std is None else f"±{one.std:.2f}"
            parts.append(Part(f"{decimal(one.mean)}{spread}{unit}", one.mean, one.std, name))
        return Value(parts, separator, found[0][1].n, self.behind(row, task))

    def behind(self, row: int, task: str) -> list[str]:
        """The records that a row has on a task (all, for "average"), as paths below the results folder."""
        tasks = [column.task for column in self.sweep.columns] if task == "average" else [task]
        places = [(row, task, seed) for task in tasks for seed in self.sweep.seeds]
        return list(dict.fromkeys(self.paths[place] for place in places if place in self.records))

    def size(self, row: int) -> Value:
        """How many parameters the method itself trains; one size for all tasks, or blank where they differ."""
        places = [place for place, record in self.records.items() if place[0] == row and record["params"]]
        sizes = {self.records[place]["params"]["adapter"] for place in places}
        if len(sizes) != 1:
            return Value()
        [size] = sizes
        return Value([Part(f"{size:,}", size, name="adapter")], records=[self.paths[places[0]]])

    def blocks(self) -> dict[str, list[tuple[int, Row]]]:
        """The rows of each backbone, by its title."""
        blocks: dict[str, list[tuple[int, Row]]] = {}
        for index, row in enumerate(self.sweep.rows):
            blocks.setdefault(row.model_title, []).append((index, row))
        return blocks
