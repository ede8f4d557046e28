"""Start-up time: `run.py --cfg job`, all tables, the first training step, and a further cell of a sweep."""

import argparse
import contextlib
import io
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.command import positive
from bench.output import plural, publish, table
from bench.suite import ROOT, require_success
from dcft.config.build import build
from dcft.config.compose import Composer
from dcft.results import records

LIMITS = {"run.py --cfg job": 1.5, "scripts/tables.py": 1.5, "first training step": 10.0, "a further cell": 3.0}  # s


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repeat", type=positive, default=5, help="number of times that each command runs")
    parser.add_argument("--model", default="minilm-l6", help="backbone of the first step, which trains on toy data")


def main(arguments: argparse.Namespace) -> None:
    """Measure and publish.

    Raises:
        UserError: if a command fails.
    """
    times: dict[str, list[dict[str, float]]] = {name: [] for name in LIMITS}
    measures = (show_settings, render_tables, first_step, further_cell)
    for number in range(arguments.repeat):  # in turn, so that a slow moment of the machine hits all alike
        print(f"round {number + 1} of {arguments.repeat}", file=sys.stderr, flush=True)
        for name, measure in zip(LIMITS, measures, strict=True):
            with tempfile.TemporaryDirectory() as folder:
                times[name].append(measure(Path(folder), arguments.model))
    report = {"settings": {"repeat": arguments.repeat, "model": arguments.model}, "limits": LIMITS, "times": times}
    publish(arguments.output, "start", report, page)


def show_settings(folder: Path, model: str) -> dict[str, float]:
    """Time `run.py --cfg job`: the part of Hydra in every command."""
    return _time([ROOT / "run.py", "--cfg", "job", f"model={model}"], folder)[0]


def render_tables(folder: Path, model: str) -> dict[str, float]:
    """Time `make tables` on a copy of the results."""
    shutil.copytree(ROOT / "results", folder / "results", ignore=shutil.ignore_patterns("bench"))
    return _time([ROOT / "scripts" / "tables.py"], folder)[0]


def first_step(folder: Path, model: str) -> dict[str, float]:
    """Time from the start of a command to the end of its first training step, without cached tokens.

    The command prints its first line when training begins. The record has the seconds of the only step.
    """
    times, first_line = _time([ROOT / "run.py", "task=toy_pair", f"model={model}", "train.max_steps=1"], folder)
    [record] = records.read_all(folder / "results")[0].values()
    return {"wall_s": round(first_line + record.time.train_s, 3), "cpu_s": times["cpu_s"]}


def further_cell(folder: Path, model: str) -> dict[str, float]:
    """Time the second of two cells in one process, without its steps and its only evaluation.

    The cells run in this process, as those of a sweep do in a worker's.
    """
    from dcft.training.run import run_cell  # loads torch

    for seed in (1, 2):
        overrides = ["task=toy_cls", f"model={model}", "train.max_steps=2", "eval.every=2", "data.max_eval=64"]
        overrides += [f"seed={seed}", f"results.dir={folder}/results", f"outputs.dir={folder}/outputs"]
        processor, started = time.process_time(), time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            record = records.read(run_cell(build(Composer()(overrides), overrides)))
        wall, processor = time.perf_counter() - started, time.process_time() - processor
    inside = record.time.train_s + record.last.eval_s
    return {"wall_s": round(wall - inside, 3), "cpu_s": round(processor, 3)}


def _time(arguments: list[str | Path], folder: Path) -> tuple[dict[str, float], float]:
    """Run a Python script in a folder.

    Returns:
        Seconds by the clock (`wall_s`) and of all processors (`cpu_s`); seconds until the first line of its output.
    """
    command = [sys.executable, *map(str, arguments)]
    before, started, errors = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), folder / "errors"
    with errors.open("w") as stderr:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=stderr)
        process.stdout.readline()
        first_line = time.perf_counter() - started
        process.stdout.read()
        status = process.wait()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    require_success(command, status, errors.read_text())
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(wall, 3), "cpu_s": round(cpu, 3)}, first_line


def page(report: dict[str, Any]) -> list[str]:
    """The times as Markdown; a limit is met by the median."""
    lines = []
    for name, times in report["times"].items():
        walls, processor = ([time[key] for time in times] for key in ("wall_s", "cpu_s"))
        limit = report["limits"][name]
        spread = f"{min(walls):.2f} to {max(walls):.2f}"
        verdict = "met" if median(walls) < limit else "not met"
        lines.append([f"`{name}`", f"{median(walls):.2f}", spread, f"{median(processor):.2f}", limit, verdict])
    settings = report["settings"]
    return [
        f"Seconds, median of {plural(settings['repeat'], 'run')}. First training step: {settings['model']} on "
        "toy_pair, from the start of the command to the end of the step, in an empty folder (no cached tokens). "
        "A further cell: the second of two in one process, on toy_cls, without its two steps and its evaluation. The "
        "processor time of both is that of the whole run.",
        "",
        *table(["command", "seconds", "range", "processor", "limit", ""], lines),
    ]
