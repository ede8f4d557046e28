"""A table's cells as a file, `results/sweeps/NAME.json`: what was planned, and which record belongs where.

Tables, figures and reports read sweeps and records. They never compose a configuration.
"""

import json
import shlex
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dcft.config.cell import work_place
from dcft.errors import UserError
from dcft.results import atomic, records
from dcft.results.record import Record, Status
from dcft.results.records import BadRecord


@dataclass
class Column:
    """A task."""

    task: str
    title: str
    metrics: list[str]  # what a table prints of a record's metrics: one, or a pair such as MNLI's
    score: list[str]  # the metrics whose mean is the record's score
    toy: bool


@dataclass
class Row:
    """A method with its knobs on a backbone. `paper` is the row of results/paper that it reproduces, if any."""

    title: str
    method: str
    model: str
    model_title: str
    substitute: bool  # the backbone is not one of the paper's
    knobs: dict[str, Any]  # kernel, stride, targets, rank, bottleneck: those that the method has
    paper: dict[str, str] | None = None  # its label and model there


@dataclass
class Cell:
    """One run of a row on a column. A cell that cannot be run (a file is missing) has a problem and no name."""

    row: int
    task: str
    seed: int
    overrides: list[str]  # what follows python run.py
    name: str | None = None
    record: str | None = None  # path below the results folder
    problem: str | None = None
    train_samples: int = 0  # rows that it trains on, over all epochs
    dev_samples: int = 0  # rows that it scores, over all evaluations
    trial: int | None = None  # in the sweep's `trials`
    default: bool = False  # whether the trial is the row's own recipe
    memory: int | None = None  # bytes that a step needs, by formula; None: the backbone's sizes are unknown

    @property
    def command(self) -> str:
        """The command that runs this cell alone."""
        return shlex.join(["python", "run.py", *self.overrides])


@dataclass
class Sweep:
    """A planned table."""

    name: str
    table: str  # of conf/table
    caption: str
    columns: list[Column]
    rows: list[Row]
    seeds: list[int]
    cells: list[Cell]
    average: bool = True  # a last column with the mean over tasks
    times: bool = False  # a second line a row, with training times
    baseline: str | None = None  # title of the row that others are compared with
    overrides: list[str] = field(default_factory=list)  # of the command line: differences from conf/table
    digest: str = ""  # of all that the plan depends on
    trials: list[dict[str, Any]] = field(default_factory=list)  # settings that every row tries on every task

    def unique(self) -> list[Cell]:
        """Every cell once: rows may share one. Cells that cannot be run are not among them."""
        return list({cell.name: cell for cell in self.cells if cell.name}.values())

    def by_name(self, results: Path) -> tuple[dict[str, Record], list[BadRecord]]:
        """The records of finished and failed runs, by cell name, and the files in their places that are none.

        Bad files are named by their path below the results folder.
        """
        by_name, bad = {}, []
        for cell in self.unique():
            path = results / (cell.record or "")
            if path.is_file():
                found = records.examine(path)
                if isinstance(found, BadRecord):
                    bad.append(replace(found, path=path.relative_to(results)))
                else:
                    by_name[cell.name] = found
        return by_name, bad

    def write(self, results: Path) -> Path:
        """Write `results/sweeps/NAME.json`, completely or not at all.

        Raises:
            UserError: if that cannot be done.
        """
        path = path_of(self.name, results)
        try:
            atomic.write(path, json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")
        except OSError as error:
            raise UserError(f"{path} cannot be written ({error.strerror}); give another results.dir=FOLDER") from error
        return path


@dataclass(frozen=True)
class Store:
    """The record store of a sweep's cells."""

    results: Path
    outputs: Path

    def status(self, cell: Cell) -> Status:
        """What is known of a cell."""
        return records.status(self.results / cell.record, self.outputs / work_place(cell.name))

    def process(self, cell: Cell) -> int | None:
        """The process that runs a cell, on whichever host; None if none does."""
        if self.status(cell) != Status.RUNNING:
            return None
        return records.read_state(self.outputs / work_place(cell.name) / "state.json").get("pid")

    def written(self, cell: Cell) -> int | None:
        """When a cell's record was written, in ns; None if there is none."""
        path = self.results / (cell.record or "")
        return path.stat().st_mtime_ns if path.is_file() else None

    def error(self, cell: Cell) -> str | None:
        """Why a cell has no result: a failed run's error, or what is wrong with the record's file."""
        path = self.results / (cell.record or "")
        if not path.is_file():
            return None
        found = records.examine(path)
        return str(found) if isinstance(found, BadRecord) else found.error


def path_of(name: str, results: Path) -> Path:
    """Where a sweep is kept."""
    return results / "sweeps" / f"{name}.json"


def read(path: Path) -> Sweep:
    """Read one sweep.

    Raises:
        UserError: if the file is not a sweep of this version of the suite.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for key, kind in (("columns", Column), ("rows", Row), ("cells", Cell)):
            content[key] = [kind(**entry) for entry in content[key]]
        sweep = Sweep(**content)
        if sweep.name != path.stem:  # files of tables and figures are named after it
            raise KeyError(f"its name is {sweep.name}")
        return sweep
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a sweep ({error}); delete it and plan the table again with dry=true") from error


def read_all(results: Path) -> list[Sweep]:
    """Every sweep below a results folder, by name."""
    return [read(path) for path in sorted((results / "sweeps").glob("*.json"))]
