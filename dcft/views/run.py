"""One run on the terminal."""

import sys
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcft.config.cell import work_place
from dcft.errors import printable
from dcft.results import predictions, protocols
from dcft.results.costs import COSTS
from dcft.results.record import Record


def show(record: Record, path: Path, given: dict[str, Any], command: str, console: Console | None = None) -> None:
    """Print settings, scores, history, costs and places of one run.

    Args:
        record: of the run.
        path: of the record, in its place below a results folder.
        given: the settings that differ from the defaults, by dotted name.
        command: the one that repeats the run, or why there is none.
        console: where to print; None: the terminal, or 110 columns of a file.
    """
    console = console or Console(highlight=False, width=None if sys.stdout.isatty() else 110)

    def line(text: str, style: str = "") -> None:
        console.print(Text(printable(text), style=style), soft_wrap=True)

    line(record.cell, "bold")
    code = f", commit {record.git.commit[:10]}{' with changes' * record.git.dirty}" if record.git else ""
    line(f"{record.status}, attempt {record.attempts}, {record.started} to {record.finished}{code}")
    if record.error:
        line(f"error: {record.error}", "red")
    _pairs(console, "settings that differ from the defaults", {key: str(value) for key, value in given.items()})
    _pairs(console, "scores, in percent", _scores(record))
    _history(console, record)
    _pairs(console, "costs", _costs(record))
    answers, model = (
        predictions.path_of(path.parents[3], record),
        Path(record.config["outputs"]["dir"]) / work_place(record.cell),
    )
    places = {"record": path, "predictions": answers, "model": model / "model"}
    _pairs(console, "places", {name: f"{p}{'' if p.exists() else ' (not there)'}" for name, p in places.items()})
    _pairs(console, "the command that repeats it", {"": command})


def _pairs(console: Console, title: str, pairs: dict[str, str]) -> None:
    """Names and values below a title; a value is never cut."""
    if pairs:
        console.print(Text(f"\n{title}", style="bold"))
        width = max(map(len, pairs))
        for name, value in pairs.items():
            console.print(Text(f"  {printable(name):<{width}}{'  ' * bool(name)}{printable(value)}"), soft_wrap=True)


def _scores(record: Record) -> dict[str, str]:
    """Score and metrics on all of dev, and on its two halves in brackets."""
    known = {"score": record.score} | (record.metrics or {})
    halves = record.metrics_halves or []
    return {
        name: f"{_number(value)}  [{', '.join(_number(half.get(name)) for half in halves)}]"
        for name, value in known.items()
        if halves
    }


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def _history(console: Console, record: Record) -> None:
    best = protocols.choose(record.history, "best")
    table = Table("step", "epoch", "score", "loss", "train s", "", box=SIMPLE_HEAD, title_justify="left")
    for column in table.columns[:-1]:
        column.justify = "right"
    for entry in record.history:
        notes = ["best"] * (entry == best) + ["collapsed"] * entry.collapsed
        numbers = (f"{entry.epoch:.2f}", _number(entry.score), f"{entry.loss:.4f}", f"{entry.train_s:,.1f}")
        table.add_row(f"{entry.step:,}", *numbers, ", ".join(notes))
    if record.history:
        console.print(Text("\nhistory", style="bold"))
        console.print(table)


def _costs(record: Record) -> dict[str, str]:
    known = {cost.title: (cost.of(record), cost.symbol) for cost in COSTS.values()}
    if record.time:
        known |= {"Training time": (record.time.train_s, "s"), "Evaluation time": (record.time.eval_s, "s")}
    return {
        title: f"{value:,.{0 if value >= 100 else 2}f} {unit}".rstrip()
        for title, (value, unit) in known.items()
        if value is not None
    }
