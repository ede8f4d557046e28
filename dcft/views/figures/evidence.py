"""The numbers of a figure: means over a sweep's records, and the paper's means of the same rows. They never mix."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from dcft.config.conf import CONF
from dcft.paper import printed
from dcft.results.costs import COSTS
from dcft.results.outcomes import Outcomes
from dcft.results.record import Record
from dcft.results.statistics import summary
from dcft.results.sweeps import Column, Row, Sweep
from dcft.views.time_units import HOURS

PROTOCOL = "best"  # of dcft.results.protocols: which evaluation is a run's score


@dataclass(frozen=True)
class Mean:
    """A mean, and its standard deviation over seeds if there are several."""

    value: float
    spread: float | None = None


class OurNumbers:
    """The finished records of a sweep. A mean exists only if every task and seed that it is over has a record."""

    def __init__(self, sweep: Sweep, results: Path):
        self.sweep = sweep
        self.outcomes = Outcomes(sweep, results, PROTOCOL)
        self.done = {key: record for key, record in self.outcomes.records.items() if record.done}

    def _number(self, row: Row) -> int:
        """The place of a row in the sweep, by identity: two rows may be equal in all that a row holds."""
        return next(number for number, candidate in enumerate(self.sweep.rows) if candidate is row)

    def tasks(self, rows: Iterable[Row]) -> list[str]:
        """The tasks on which any of these rows has a finished record, in the order of the sweep."""
        numbers = {self._number(row) for row in rows}
        tasks = {task for number, task, _ in self.done if number in numbers}
        return [column.task for column in self.sweep.columns if column.task in tasks]

    def records(self, row: Row, task: str) -> list[Record]:
        """The finished records of a row on a task, by seed."""
        number = self._number(row)
        return [self.done[key] for seed in self.sweep.seeds if (key := (number, task, seed)) in self.done]

    def mean(self, row: Row, tasks: list[str], quantity: str) -> Mean | None:
        """The mean over tasks and seeds of "score" (percent) or "time" (seconds); None if one is missing."""
        series = self.outcomes.series if quantity == "score" else self.outcomes.seconds
        number = self._number(row)
        by_seed = list(zip(*(series(number, task) for task in tasks), strict=True))
        if any(value is None for values in by_seed for value in values):
            return None
        over_seeds = summary([sum(values) / len(values) for values in by_seed])
        return Mean(over_seeds.mean, over_seeds.std) if over_seeds else None

    def cost(self, row: Row, tasks: list[str], kind: str) -> float | None:
        """The mean of a cost, a key of `COSTS`, over tasks and seeds; None if one is missing."""
        means = [self.outcomes.cost(self._number(row), task, COSTS[kind]) for task in tasks]
        return None if not means or any(mean is None for mean in means) else sum(means) / len(means)


class PaperNumbers:
    """The paper's figures, found by the row of results/paper that a row of the sweep reproduces."""

    def __init__(self, sweep: Sweep, cells: pd.DataFrame):
        self.cells = cells[cells["table"] == sweep.table]

    def models(self, rows: Iterable[Row]) -> list[str]:
        """The backbones that the paper has these rows for, in order."""
        return list(dict.fromkeys(row.paper["model"] for row in rows if row.paper))

    def _find(self, row: Row) -> pd.DataFrame:
        if not row.paper:
            return self.cells.iloc[:0]
        return self.cells[(self.cells["label"] == row.paper["label"]) & (self.cells["model"] == row.paper["model"])]

    def mean(self, row: Row, tasks: list[str], quantity: str) -> Mean | None:
        """The mean of the printed figures of these tasks (percent, or seconds); None if one is blank."""
        figures = self._find(row)
        figures = figures[(figures["quantity"] == quantity) & figures["task"].isin(tasks)]["value"]
        if not tasks or len(figures) < len(tasks):
            return None
        return Mean(float(figures.mean()) * (HOURS.seconds if quantity == "time" else 1))

    def cost(self, row: Row, tasks: list[str], kind: str) -> float | None:
        """The printed size, with k and M as 10^3 and 10^6; None where it is blank, or a percentage (Table 3).

        The paper prints no other cost that is ours, so that is None, too.
        """
        if kind != "params":
            return None
        sizes = [text for text in self._find(row)["params"] if text and not text.endswith("%")]
        return printed.amount(sizes[0]) if sizes else None


@dataclass
class Evidence:
    """All that the figures of one sweep are drawn from."""

    sweep: Sweep
    own: OurNumbers
    printed: PaperNumbers
    cost: str = "params"  # a key of `COSTS`: what scores are drawn against

    @cached_property
    def only_printed(self) -> bool:
        """Whether there are no records at all: then the figures show the paper's numbers alone."""
        return not self.own.done

    @cached_property
    def tasks(self) -> list[str]:
        """The tasks that means are over: those with any record, or all where the paper's figures are alone."""
        sweep = self.sweep
        return [column.task for column in sweep.columns] if self.only_printed else self.own.tasks(sweep.rows)

    def title(self, task: str) -> str:
        """A task as it is printed."""
        return next(column.title for column in self.sweep.columns if column.task == task)


def printed_sweep(cells: pd.DataFrame, table: str) -> Sweep:
    """A printed table as a sweep without cells: what is drawn when nothing was run."""
    scores = cells[(cells["table"] == table) & (cells["heading"] != printed.AVERAGE)]
    rows = []
    for _, line in scores.drop_duplicates(["label", "model"]).iterrows():
        knobs = {knob: int(line[knob]) for knob in printed.NUMBERS if not pd.isna(line[knob])}
        knobs |= {} if pd.isna(line["targets"]) else {"targets": line["targets"]}
        paper = {"label": line["label"], "model": line["model"]}
        model = line["model"]
        rows.append(Row(_title(line["method"], knobs), line["method"], model, model_title(model), False, knobs, paper))
    tasks = scores.drop_duplicates("task")
    columns = [Column(line["task"], line["heading"], [], [], False) for _, line in tasks.iterrows()]
    return Sweep("paper", table, printed.title(table), columns, rows, [], [])


def _title(method: str, knobs: dict[str, Any]) -> str:
    shown = {"kernel": "d", "rank": "r"} | ({"stride": "s"} if knobs.get("stride") != knobs.get("kernel") else {})
    words = [f"{letter}={knobs[knob]}" for knob, letter in shown.items() if knob in knobs]
    return printed.METHODS[method] + (f" ({', '.join(words)})" if words else "")


def model_title(name: str) -> str:
    """A backbone as people write it."""
    path = CONF / "model" / f"{name}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))["title"] if path.is_file() else name
