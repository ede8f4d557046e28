"""Checkerboard artefacts in what DCFT has learned, measured on saved adapters (the paper's appendix D claims them).

A deconvolution repeats its kernel every `stride` entries, which shows at multiples of the frequency 1/stride
(`dcft.results.updates`). A low-rank update has another distribution than independent numbers, so each row also shows
updates of the same shapes whose A, B and C are drawn anew.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dcft.config.cell import work_place
from dcft.results.record import Record
from dcft.results.sweeps import Row
from dcft.results.updates import ADAPTER, Update, read, redrawn
from dcft.views.figures import style
from dcft.views.figures.evidence import Evidence

PICTURES = 3  # updates that are shown, of different kernels and strides
SHOWN = 64  # rows and columns of an update in its picture


def checkerboard(evidence: Evidence) -> Figure | None:
    """The ratio of powers of each DCFT row, over the matrices of one of its runs, and pictures of updates."""
    measured = []
    for row, folder in _adapters(evidence):
        if (found := list(read(folder)))[0].period == 1:
            continue  # every frequency is a multiple of 1
        measured.append((row, [update.checkerboard for update in found], redrawn(found), found[0]))
    if not measured:
        return None
    pictures = {(first.kernel, first.stride): (row, first) for row, *_, first in reversed(measured)}
    shown = list(islice(reversed(pictures.values()), PICTURES))
    figure, [[ratios, *panels]] = style.new(1, 1 + len(shown), height=max(3.4, 0.3 * len(measured) + 1))
    several = len({row.model for row, *_ in measured}) > 1
    _ratios(ratios, [(row.title + f", {row.model_title}" * several, *values) for row, *values, _ in measured])
    for panel, (row, update) in zip(panels, shown, strict=True):
        _picture(panel, row, update)
    style.legend(figure)
    return figure


def facts(evidence: Evidence) -> list[str]:
    """For the foot: what was measured, and how many rows have no saved adapter."""
    rows = [row for row in evidence.sweep.rows if row.method == "dcft"]
    there = list(_adapters(evidence))
    missing = len(rows) - len(there)
    return [
        "Power: of the update's Fourier transform at multiples of 1/stride, the constant part left out, over that "
        "elsewhere; with stride 1 at multiples of 1/kernel. Median and quartiles over the adapted matrices of the "
        "row's first run; line: independent normal entries",
        *([f"Without a saved adapter, left out: {missing} of {len(rows)} DCFT rows"] if missing else []),
    ]


def _adapters(evidence: Evidence) -> Iterator[tuple[Row, Path]]:
    """Each DCFT row with the saved adapter of its first run that has one; rows without any are left out."""
    for row in evidence.sweep.rows:
        if row.method == "dcft":
            folders = (_folder(record) for task in evidence.tasks for record in evidence.own.records(row, task))
            if folder := next((folder for folder in folders if (folder / ADAPTER).is_file()), None):
                yield row, folder


def _folder(record: Record) -> Path:
    """Where a run has kept its model, as seen from where it was started."""
    return Path(record.config["outputs"]["dir"]) / work_place(record.cell) / "model"


def _ratios(axes: Axes, rows: list[tuple[str, list[float], list[float]]]) -> None:
    """Learned and redrawn ratios of each row, one below the other."""
    places = range(len(rows), 0, -1)
    looks = {"learned": style.look(0), "A, B, C drawn anew": style.printed_look(0)}
    for place, (_, *kinds) in zip(places, rows, strict=True):
        for shift, values, (name, look) in zip((0.15, -0.15), kinds, looks.items(), strict=True):
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
            bars = [[middle - low], [high - middle]]
            axes.errorbar([middle], [place + shift], xerr=bars, label=name, **look | {"linestyle": ""})
    axes.axvline(1, color=style.GREY, linestyle="--", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(places, [title for title, *_ in rows])
    axes.set_ylim(0.4, len(rows) + 0.6)
    axes.set_xlabel("Power at multiples of 1/stride, over elsewhere")


def _picture(axes: Axes, row: Row, update: Update) -> None:
    left, right = update.factors
    part = left[:SHOWN] @ right[:, :SHOWN]
    largest = np.abs(part).max()
    axes.imshow(part, cmap="cividis", vmin=-largest, vmax=largest, interpolation="nearest")
    axes.grid(visible=False)
    axes.set_title(f"{row.title}: d={update.kernel}, s={update.stride}")
    axes.set_xlabel(f"Input of {'.'.join(update.matrix.split('.')[-5:])}", fontsize=7.5)
    axes.set_ylabel("Output")
