"""Checkerboard artefacts in what DCFT has learned, measured on saved adapters (the paper's appendix D claims them).

A deconvolution repeats its kernel every `stride` entries, which shows at multiples of the frequency 1/stride. Measured
is the mean power of the update's two-dimensional Fourier transform there, over the mean power elsewhere. The constant
part is in neither. A matrix of independent normal numbers has 1 on average. A low-rank update has another distribution,
so each row also shows updates of the same shapes whose A, B and C are drawn anew.
"""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dcft.results.record import Record
from dcft.results.sweeps import Row
from dcft.views.figures import style
from dcft.views.figures.evidence import Evidence

PICTURES = 3  # updates that are shown, of different kernels and strides
SHOWN = 64  # rows and columns of an update in its picture
ADAPTER = "adapter_model.safetensors"


class Update(NamedTuple):
    """What a run has learned for one weight, up to its scaling."""

    matrix: str  # its name in the model
    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    stride: int

    @property
    def kernel(self) -> int:
        """The side of the kernel."""
        return len(self.C)

    @property
    def delta(self) -> np.ndarray:
        """What is added, `out x in`, up to the scaling: the transposed convolution of B A by C (paper, eq. 5).

        It is the full convolution of B A with `stride - 1` zeros between its entries, so it needs no torch.
        """
        from scipy.signal import oaconvolve

        product = self.B @ self.A
        apart = np.zeros([(size - 1) * self.stride + 1 for size in product.shape])
        apart[:: self.stride, :: self.stride] = product
        return oaconvolve(apart, self.C)

    @property
    def ratio(self) -> float:
        """The ratio of powers; see `ratio`."""
        return ratio(self.delta, self.period)

    def redrawn(self, draw: np.random.Generator) -> "Update":
        """An update of the same shape from independent normal A, B and C."""
        return self._replace(**{name: draw.normal(size=getattr(self, name).shape) for name in "ABC"})

    @property
    def period(self) -> int:
        """Entries between two repetitions of the kernel. With stride 1 there is none; its control is the kernel."""
        return self.stride if self.stride > 1 else self.kernel


def checkerboard(evidence: Evidence) -> Figure | None:
    """The ratio of powers of each DCFT row, over the matrices of one of its runs, and pictures of updates."""
    measured = []
    for row, folder in _adapters(evidence):
        if (found := list(updates(folder)))[0].period == 1:
            continue  # every frequency is a multiple of 1
        draw = np.random.default_rng(0)
        measured.append((row, [u.ratio for u in found], [u.redrawn(draw).ratio for u in found], found[0]))
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


def ratio(delta: np.ndarray, period: int) -> float:
    """Mean power at multiples of the frequency 1/period over mean power at all others; frequency 0 is in neither.

    Args:
        delta: `out x in`; it is cut to multiples of the period.
        period: entries, more than 1.
    """
    out, inside = (size // period for size in delta.shape)
    delta = delta[: out * period, : inside * period]
    # The transform at multiples of 1/period is that of the sum over all periods; Parseval gives the whole power.
    folded = delta.reshape(out, period, inside, period).sum((0, 2))
    at = np.abs(np.fft.fft2(folded)) ** 2
    elsewhere = (delta.size * (delta**2).sum() - at.sum()) / (delta.size - at.size)
    return float((at.sum() - at[0, 0]) / (at.size - 1) / elsewhere)


def updates(folder: Path) -> Iterator[Update]:
    """The updates of a saved DCFT adapter, in the order of their names.

    Args:
        folder: with adapter_model.safetensors and adapter_config.json.
    """
    from safetensors.numpy import load_file

    settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    tensors, stride = load_file(folder / ADAPTER), settings["stride"]
    for name in sorted(name.removesuffix(".dcft_C") for name in tensors if name.endswith(".dcft_C")):
        A, B, C = (tensors[f"{name}.dcft_{letter}"].astype(np.float64) for letter in "ABC")
        yield Update(name.removeprefix("base_model.model."), A, B, C, stride)


def _adapters(evidence: Evidence) -> Iterator[tuple[Row, Path]]:
    """Each DCFT row with the saved adapter of its first run that has one; rows without any are left out."""
    for row in evidence.sweep.rows:
        if row.method == "dcft":
            folders = (_folder(record) for task in evidence.tasks for record in evidence.own.records(row, task))
            if folder := next((folder for folder in folders if (folder / ADAPTER).is_file()), None):
                yield row, folder


def _folder(record: Record) -> Path:
    """Where a run has kept its model, as seen from where it was started."""
    return Path(record.config["outputs"]["dir"]) / "runs" / record.cell / "model"


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
    part = update.delta[:SHOWN, :SHOWN]
    largest = np.abs(part).max()
    axes.imshow(part, cmap="cividis", vmin=-largest, vmax=largest, interpolation="nearest")
    axes.grid(visible=False)
    axes.set_title(f"{row.title}: d={update.kernel}, s={update.stride}")
    axes.set_xlabel(f"Input of {'.'.join(update.matrix.split('.')[-5:])}", fontsize=7.5)
    axes.set_ylabel("Output")
