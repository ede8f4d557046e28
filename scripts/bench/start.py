"""How long commands take to begin: `run.py --cfg job`, all tables, and the first training step.

python scripts/bench start
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.command import ROOT
from bench.report import keep, table
from dcft.errors import UserError
from dcft.results import records

LIMITS = {"run.py --cfg job": 1.5, "scripts/tables.py": 1.5, "first training step": 10.0}  # seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings of this measurement."""
    parser.add_argument("--repeat", type=int, default=5, help="how often each command is run")
    parser.add_argument("--model", default="minilm-l6", help="the backbone that takes the first step, on toy data")
    parser.add_argument("--output", type=Path, default=Path("results/bench"), help="where start.json and .md go")


def main(arguments: argparse.Namespace) -> None:
    """Measure, write `start.json` and `start.md`, print the table.

    Raises:
        UserError: if a command fails.
    """
    if arguments.repeat < 1:
        raise UserError(f"--repeat {arguments.repeat}: give at least 1")
    times: dict[str, list[dict[str, float]]] = {name: [] for name in LIMITS}
    for number in range(arguments.repeat):  # in turn, so that what else the machine does falls on all alike
        print(f"round {number + 1} of {arguments.repeat}", file=sys.stderr, flush=True)
        for name, measure in zip(LIMITS, (show_settings, render_tables, first_step), strict=True):
            with tempfile.TemporaryDirectory() as folder:
                times[name].append(measure(Path(folder), arguments.model))
    report = {"settings": {"repeat": arguments.repeat, "model": arguments.model}, "limits": LIMITS, "times": times}
    keep(arguments.output, "start", report, page(report))


def show_settings(folder: Path, model: str) -> dict[str, float]:
    """`run.py --cfg job`: Hydra's part of every command."""
    return _timed([ROOT / "run.py", "--cfg", "job", f"model={model}"], folder)[0]


def render_tables(folder: Path, model: str) -> dict[str, float]:
    """What `make tables` runs, on a copy of the results."""
    shutil.copytree(ROOT / "results", folder / "results", ignore=shutil.ignore_patterns("bench"))
    return _timed([ROOT / "scripts" / "tables.py"], folder)[0]


def first_step(folder: Path, model: str) -> dict[str, float]:
    """From the command to the end of its first training step; nothing is cached but the operating system's files.

    The command's first line comes when training begins; from then on the record knows the seconds of its only step.
    """
    times, begun = _timed([ROOT / "run.py", "task=toy_pair", f"model={model}", "train.max_steps=1"], folder)
    [record] = records.read_all(folder / "results")
    return {"wall_s": round(begun + record["time"]["train_s"], 3), "cpu_s": times["cpu_s"]}


def _timed(arguments: list, folder: Path) -> tuple[dict[str, float], float]:
    """Seconds of a command, of the clock (`wall_s`) and of the processors (`cpu_s`); and seconds to its first line."""
    before, begun, errors = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), folder / "errors"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)], cwd=folder, stdout=subprocess.PIPE, stderr=stderr
        )
        process.stdout.readline()
        first_line = time.perf_counter() - begun
        process.stdout.read()
        status = process.wait()
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if status:
        said = errors.read_text().strip().splitlines() or ["nothing was said"]
        raise UserError(f"{Path(arguments[0]).name} ended with status {status}: {said[-1].removeprefix('error: ')}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(wall, 3), "cpu_s": round(cpu, 3)}, first_line


def page(report: dict) -> list[str]:
    """The numbers as Markdown."""
    lines = []
    for name, times in report["times"].items():
        walls, limit = [one["wall_s"] for one in times], report["limits"][name]
        met = "met" if median(walls) < limit else "not met"
        spread = f"{min(walls):.2f} to {max(walls):.2f}"
        lines.append(
            [f"`{name}`", f"{median(walls):.2f}", spread, f"{median(t['cpu_s'] for t in times):.2f}", limit, met]
        )
    settings = report["settings"]
    return [
        f"Seconds, median of {settings['repeat']} runs. First step: of {settings['model']} on toy_pair, from "
        "the command to the end of the step, in an empty folder (no cached tokens); its processor time is that of the "
        "whole run.",
        "",
        *table(["command", "seconds", "range", "processor", "limit", ""], lines),
    ]
