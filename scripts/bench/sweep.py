"""Throughput of a sweep: cells per hour of a small table, with 1, 2, 4 or 8 cells at once on one machine.

Each sweep is a real command, `python run.py table=demo ...`, in an empty folder. Every round runs each number of cells
at once, so a slow moment of the machine hits all alike.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench import suite
from bench.command import positive
from bench.output import plural, publish, table
from dcft.errors import UserError
from dcft.results import records

SETTINGS = ("model", "settings", "launcher", "cells", "steps", "rounds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--at-once", type=positive, nargs="+", default=[1, 2, 4, 8], metavar="N", help="numbers of cells at once")
    add("--cells", type=positive, default=8, help="cells of a sweep: they differ in the seed alone")
    add("--steps", type=positive, default=40, help="training steps of a cell, 16 rows each; it evaluates once")
    add("--rounds", type=positive, default=2, help="number of times that each sweep runs")
    add("--model", default="minilm-l6", help="backbone of all cells")
    add("--settings", nargs="+", default=[], metavar="SETTING", help="further settings of all cells, key=value each")
    add("--launcher", default="local", choices=["local", "joblib"], help="hydra/launcher of the sweep")


def main(arguments: argparse.Namespace) -> None:
    """Measure and publish.

    Raises:
        UserError: if there are fewer cells than run at once, or a sweep fails.
    """
    if max(arguments.at_once) > arguments.cells:
        raise UserError(f"--cells {arguments.cells}: give at least {max(arguments.at_once)}, the most of --at-once")
    sweeps, hardware = [], {}
    for number in range(1, arguments.rounds + 1):
        for at_once in dict.fromkeys(arguments.at_once):
            sweep, hardware = measure(at_once, arguments)
            sweeps.append(sweep)
            print(f"round {number}, {at_once} at once: {sweep['wall_s']:.0f} s", file=sys.stderr, flush=True)
    report = {
        "settings": {name: getattr(arguments, name) for name in SETTINGS},
        "sweeps": sweeps,
        "hardware": {key: value for key, value in hardware.items() if key != "threads"},  # differ between sweeps
    }
    publish(arguments.output, "sweep", report, page)


def measure(at_once: int, arguments: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run one sweep.

    Returns:
        The measurement and the hardware, as records have it. The measurement: `at_once`; `wall_s` of the whole command,
        in s; `threads` of each cell; `samples_per_s`, the rows/s that all cells at once train: `at_once` times the
        median cell's; `peak_memory_mb`, the highest of a cell, in MB (10^6), of the GPU's allocator if there is a GPU,
        else of the process.

    Raises:
        UserError: if a cell has no result.
    """
    settings = ["table=demo", "only=toy_cls", "methods=lora", f"seeds={arguments.cells}", f"model={arguments.model}"]
    settings += [f"train.max_steps={arguments.steps}", f"eval.every={arguments.steps}", "train.batch_size=16"]
    settings += [f"hydra/launcher={arguments.launcher}", f"hydra.launcher.n_jobs={at_once}"]
    settings += arguments.settings
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        suite.run([*settings, "data.max_eval=64", "results.dir=results"], Path(folder))
        wall = time.perf_counter() - started
        cells = list(records.read_all(Path(folder) / "results")[0].values())
    hardware = cells[0].hardware
    return {
        "at_once": at_once,
        "wall_s": round(wall, 1),
        "threads": hardware["threads"],
        "samples_per_s": round(at_once * median(record.time.samples_per_s for record in cells), 1),
        "peak_memory_mb": max(record.peak_memory_mb for record in cells),
    }, hardware


def page(report: dict[str, Any]) -> list[str]:
    """The throughputs as Markdown, a line for each number of cells at once, medians over rounds."""
    settings = report["settings"]
    groups: dict[int, list[dict[str, Any]]] = {}
    for sweep in report["sweeps"]:
        groups.setdefault(sweep["at_once"], []).append(sweep)
    lines = []
    for at_once, sweeps in groups.items():
        walls = [sweep["wall_s"] for sweep in sweeps]
        wall, throughput = median(walls), median(sweep["samples_per_s"] for sweep in sweeps)
        peak = max(sweep["peak_memory_mb"] for sweep in sweeps)
        seconds = f"{wall:.0f} ({min(walls):.0f} to {max(walls):.0f})"
        speeds = [f"{3600 * settings['cells'] / wall:.0f}", f"{throughput:.0f}"]
        lines.append([at_once, sweeps[0]["threads"], seconds, *speeds, f"{peak:.0f}"])
    model = " ".join([settings["model"], *settings.get("settings", [])])
    return [
        f"{settings['cells']} cells (LoRA on toy_cls, {model}, {settings['steps']} steps of 16 rows, one "
        f"evaluation) by hydra/launcher={settings['launcher']}. Seconds: the whole command with start-up, median and "
        f"range of {plural(settings['rounds'], 'round')}. Rows/s: of all cells at once while they train, "
        f"without start-up. Peak: memory of one cell{' on the GPU' if report['hardware']['gpu'] else ''}, in MB.",
        "",
        *table(["at once", "threads each", "seconds", "cells/hour", "rows/s", "peak"], lines),
    ]
