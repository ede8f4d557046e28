"""A sweep's throughput: cells per hour of a small table, with 1, 2, 4 or 8 cells at once on one machine.

Each sweep is the real command, `python run.py table=demo ...`, in a folder of its own. In each round every number of
cells at once has its turn, so that what else the machine does falls on all alike.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench import command
from bench.report import publish
from dcft.errors import UserError
from dcft.results import records

SETTINGS = ("model", "launcher", "cells", "steps", "rounds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings of this measurement."""
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 2, 4, 8], metavar="N", help="cells at once")
    parser.add_argument("--cells", type=int, default=8, help="cells of a sweep: the same one with other seeds")
    parser.add_argument("--steps", type=int, default=40, help="steps of a cell, 16 rows each; then it evaluates once")
    parser.add_argument("--rounds", type=int, default=2, help="how often each sweep is run")
    parser.add_argument("--model", default="minilm-l6", help="the backbone of all cells")
    parser.add_argument("--launcher", default="local", choices=["local", "joblib"], help="what hands the cells out")
    parser.add_argument("--results", type=Path, default=Path("results/bench"), help="where sweep.json and sweep.md go")


def main(arguments: argparse.Namespace) -> None:
    """Measure, write `sweep.json` and `sweep.md`, print the table.

    Raises:
        UserError: if the numbers make no sense, or a sweep ends without all of its results.
    """
    if min(arguments.cells, arguments.steps, arguments.rounds, *arguments.at_once) < 1:
        raise UserError("--at-once, --cells, --steps and --rounds: give numbers of at least 1")
    if max(arguments.at_once) > arguments.cells:
        raise UserError(f"--cells {arguments.cells}: give at least as many as are run at once")
    sweeps, hardware = [], {}
    for number in range(1, arguments.rounds + 1):
        for at_once in dict.fromkeys(arguments.at_once):
            sweep, hardware = measure(at_once, arguments)
            sweeps.append(sweep)
            print(f"round {number}, {at_once} at once: {sweep['wall_s']:.0f} s", file=sys.stderr, flush=True)
    report = {
        "settings": {name: getattr(arguments, name) for name in SETTINGS},
        "sweeps": sweeps,
        "hardware": {key: value for key, value in hardware.items() if key != "threads"},
    }
    publish(arguments.results, "sweep", report, show)


def measure(at_once: int, arguments: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run one sweep.

    Returns:
        What was measured: `at_once`; `wall_s` of the whole command, s; `threads` of each cell; `samples_per_s`, the
        rows a second that all cells at once train (the median cell's, times `at_once`); `peak_memory_mb`, the highest
        of a cell, in MB (10^6), of the GPU's allocator, else of its process. And the hardware, as records keep it.

    Raises:
        UserError: if a cell has no result.
    """
    settings = ["table=demo", "only=toy_pair", "methods=lora", f"seeds={arguments.cells}", f"model={arguments.model}"]
    settings += [f"train.max_steps={arguments.steps}", f"eval.every={arguments.steps}", "train.batch_size=16"]
    settings += [f"hydra/launcher={arguments.launcher}", f"hydra.launcher.n_jobs={at_once}"]
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        status, last = command.run([*settings, "data.max_eval=64", "results.dir=results"], Path(folder))
        wall = time.perf_counter() - begun
        if status:
            raise UserError(f"a sweep with {at_once} at once ended with status {status}: {last}")
        done = records.read_all(Path(folder) / "results")
    hardware = done[0]["hardware"]
    return {
        "at_once": at_once,
        "wall_s": round(wall, 1),
        "threads": hardware["threads"],
        "samples_per_s": round(at_once * median(record["time"]["samples_per_s"] for record in done), 1),
        "peak_memory_mb": max(record["peak_memory_mb"] for record in done),
    }, hardware


def show(report: dict[str, Any]) -> str:
    """The report as Markdown: a line for each number of cells at once, medians over rounds."""
    settings, hardware = report["settings"], report["hardware"]
    kinds: dict[int, list[dict[str, Any]]] = {}
    for sweep in report["sweeps"]:
        kinds.setdefault(sweep["at_once"], []).append(sweep)
    lines = [
        f"{settings['cells']} cells (LoRA on toy_pair, {settings['model']}, {settings['steps']} steps of 16 rows, one "
        f"evaluation) by hydra/launcher={settings['launcher']} on {hardware['gpu'] or hardware['cpu']}, "
        f"{hardware['cores']} cores. Seconds: the whole command, start-up included; the median of {settings['rounds']} "
        "rounds, and their range. Rows a second: of all cells at once while they train, start-up left out. Peak: of "
        f"one cell{', on the GPU' if hardware['gpu'] else ''}, in MB.",
        "",
        "| at once | threads each | seconds | cells an hour | rows a second | peak |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for at_once, sweeps in kinds.items():
        walls = [sweep["wall_s"] for sweep in sweeps]
        lines.append(
            f"| {at_once} | {sweeps[0]['threads']} | {median(walls):.0f} ({min(walls):.0f} to {max(walls):.0f}) "
            f"| {3600 * settings['cells'] / median(walls):.0f} | {median(s['samples_per_s'] for s in sweeps):.0f} "
            f"| {max(s['peak_memory_mb'] for s in sweeps):.0f} |"
        )
    return "\n".join(lines) + "\n"
