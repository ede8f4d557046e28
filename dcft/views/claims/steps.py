"""The time of a training step by stride and by method, from `scripts/bench step`: no run is needed.

A run's own time depends on what else the machine does. The measurement runs all rows in each round, so a ratio of two
rows of one round does not.
"""

import json
from pathlib import Path
from statistics import quantiles

import pandas as pd

TEXT = """\
Measured by `make bench`, without training: the time of one row's training step over another's in the same round, median
and quartiles over rounds, on the processors named in `results/bench`. For stride 1 over stride 8, Table 5 prints
{low:.1f} to {high:.1f} times the training time."""
COLUMNS = ["Shapes", "Batch", "Rows", "Ratio", "Quartiles", "Rounds"]
PAIRS = (  # rows of scripts/bench/step/rows.py, by name
    ("dcft-d8-s4", "dcft-d8"),
    ("dcft-d8-s2", "dcft-d8"),
    ("dcft-d8-s1", "dcft-d8"),
    ("dcft-d2", "dcft-d8"),
    ("dcft-d8", "lora-r1"),
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
    """One line a measurement and pair that it holds: model, batch, pair, median and quartiles of the ratio, rounds."""
    lines = []
    for path in sorted((results / "bench").glob("step-*.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        settings = report["settings"]
        [part] = [part for part in report["parts"] if part["name"] == "step"]
        rows = {row["name"]: row for row in part["rows"]}
        for ours, theirs in PAIRS:
            if ours in rows and theirs in rows:
                times = zip(rows[ours]["ms"], rows[theirs]["ms"], strict=True)
                low, middle, high = quantiles([one / other for one, other in times], n=4, method="inclusive")
                pair = f"{rows[ours]['title']} / {rows[theirs]['title']}"
                layers = f"{settings['layers']} of {settings['of_layers']} layers"
                batch = f"{settings['batch']} x {settings['length']}"
                words = [pair, f"{middle:.2f}", f"{low:.2f} to {high:.2f}", str(settings["rounds"])]
                lines.append([f"{settings['model']}, {layers}", batch, *words])
    return lines
