"""The time of a training step by stride, kernel size and method, from `scripts/bench step`: no run is needed.

A run's own time depends on what else the machine does. The measurement runs all rows in each round, so a ratio of two
rows of one round depends on it less.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles
from typing import Any

import numpy as np
import pandas as pd

from dcft.views.claims.compare import Difference, moved, paired
from dcft.views.claims.questions import Question

TEXT = """\
Measured by `python scripts/bench step`, without training: the time of one row's training step over another's in the
same round, median and quartiles over rounds. DCFT is the suite's code unless a row says otherwise, LoRA is PEFT's. For
stride 1 over stride 8, Table 5 prints {low:.1f} to {high:.1f} times the training time."""
COLUMNS = ["Shapes", "Processor", "Batch", "Rows", "Ratio", "Quartiles", "Rounds"]
ROWS = {  # titles of questions -> rows of scripts/bench/step/rows.py
    **{f"DCFT (d={d})": f"dcft-d{d}" for d in (2, 4, 6, 8, 12)},
    **{f"DCFT (s={s})": f"dcft-d8-s{s}" for s in (1, 2, 4)},
    "DCFT (s=8)": "dcft-d8",
    "DCFT (s=8), official computation": "official-d8",
    **{f"DCFT (s={s}), official computation": f"official-d8-s{s}" for s in (1, 2, 4)},
    "LoRA (r=1)": "lora-r1",
}
USUAL = {"precision": "fp32", "attention": "lean", "dropout": "fast", "compile": False}
PAIRS = (  # of ROWS' values
    ("dcft-d8-s4", "dcft-d8"),
    ("dcft-d8-s2", "dcft-d8"),
    ("dcft-d8-s1", "dcft-d8"),
    ("official-d8-s4", "official-d8"),
    ("official-d8-s2", "official-d8"),
    ("official-d8-s1", "official-d8"),
    ("dcft-d2", "dcft-d8"),
    ("dcft-d8", "lora-r1"),
    ("official-d8", "lora-r1"),
)


def text(cells: pd.DataFrame) -> str:
    """How the ratios were measured, with those that the paper prints.

    Args:
        cells: the printed figures (`dcft.paper.printed.cells`).
    """
    part = cells[(cells["table"] == "table5") & (cells["quantity"] == "time")]
    slow, fast = (part[part["stride"] == stride].set_index("task")["value"] for stride in (1, 8))
    return TEXT.format(low=(slow / fast).min(), high=(slow / fast).max())


def ratios(results: Path) -> list[list[str]]:
    """One line a measurement and pair that it holds, with the cells of `COLUMNS`."""
    lines = []
    for settings, hardware, rows in _measured(results):
        for ours, theirs in PAIRS:
            if ours in rows and theirs in rows:
                times = zip(rows[ours]["ms"], rows[theirs]["ms"], strict=True)
                low, middle, high = quantiles([one / other for one, other in times], n=4, method="inclusive")
                pair = f"{rows[ours]['title']} / {rows[theirs]['title']}"
                words = [pair, f"{middle:.2f}", f"{low:.2f} to {high:.2f}", str(settings["rounds"])]
                shapes = f"{settings['model']}, {_layers(settings)}"
                lines.append([shapes, machine(hardware), _batch(settings), *words])
    return lines


def differences(question: Question, results: Path, model: str) -> list[Difference]:
    """The time of a step of `question.ours` against each of `theirs`, over rounds; one a measurement that has both."""
    found = []
    for settings, hardware, rows in _measured(results):
        place = f"{_batch(settings)}, {machine(hardware)}"
        if settings["layers"] < settings["of_layers"]:
            place += f", {_layers(settings)}"
        for theirs in question.theirs if settings["model"] == model else ():
            names = ROWS[question.ours], ROWS[theirs]
            if all(name in rows for name in names):
                one = paired(moved(np.array([rows[name]["ms"] for name in names]).T, relative=True), relative=True)
                found.append(Difference(question.ours, theirs, place, *one, settings["rounds"]))
    return found


def _measured(results: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """The settings, the machine and the rows of each measurement of a step that has several rounds."""
    for path in sorted((results / "bench").glob("step-*.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        for part in report["parts"]:
            if part["name"] == "step" and report["settings"]["rounds"] > 1:
                yield report["settings"], report["hardware"], {row["name"]: row for row in part["rows"]}


def _batch(settings: dict[str, Any]) -> str:
    """The shape of a batch, and the settings that differ from the suite's defaults on a CPU."""
    variant = [f"{key}={settings[key]}" for key, usual in USUAL.items() if settings[key] != usual]
    return ", ".join([f"{settings['batch']} x {settings['length']}", *variant])


def _layers(settings: dict[str, Any]) -> str:
    return f"{settings['layers']} of {settings['of_layers']} layers"


def machine(hardware: dict[str, Any]) -> str:
    """The processor, and how many threads computed."""
    threads = hardware["threads"]
    return f"{hardware.get('gpu') or hardware['cpu']}, {threads} thread{'s' * (threads != 1)}"
