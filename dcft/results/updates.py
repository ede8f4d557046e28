"""What DCFT has learned for each weight, read from a saved adapter: its rank, and checkerboards in it.

An update is never built. Its rank and its Fourier transform are those of two thin factors.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from dcft.results.evaluation import STRICT

ADAPTER = "adapter_model.safetensors"
REDRAWS = 100  # of each update; the median over the 36 of MiniLM, each drawn once, is anything from 0.03 to 0.48

Positive = Annotated[float, Field(gt=0)]


@dataclass(config=STRICT, frozen=True)
class Updates:
    """Medians over the updates of a DCFT adapter."""

    stable_rank: Positive  # squared Frobenius norm over squared spectral norm: at least 1, at most the rank
    checkerboard: Positive | None  # `Update.checkerboard`; None: a kernel of one entry has no pattern
    checkerboard_drawn: Positive | None  # the same of updates whose A, B and C are drawn anew, `REDRAWS` times each


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
    def period(self) -> int:
        """Entries between two repetitions of the kernel. With stride 1 there is none; its control is the kernel."""
        return self.stride if self.stride > 1 else self.kernel

    @property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """`left`, `out x rank d`, and `right`, `rank d x in`: the update is their product.

        The update is the transposed convolution of B A by C (paper, eq. 5). Entry (p, q) of C adds the product, spread
        by the stride and shifted by (p, q), so that each row of A and column of B needs its d shifts.
        """
        left = np.concatenate([self._shifts(column) @ self.C for column in self.B.T], axis=1)
        right = np.concatenate([self._shifts(row).T for row in self.A])
        return left, right

    def _shifts(self, entries: np.ndarray) -> np.ndarray:
        """The entries, `stride` apart, shifted by 0 to d - 1: one shift a column."""
        shifted = np.zeros(((len(entries) - 1) * self.stride + self.kernel, self.kernel))
        for shift in range(self.kernel):
            shifted[shift : shift + (len(entries) - 1) * self.stride + 1 : self.stride, shift] = entries
        return shifted

    @property
    def stable_rank(self) -> float:
        """Squared Frobenius norm over squared spectral norm; NaN for an update of zeros."""
        left, right = self.factors
        values = np.linalg.svd(np.linalg.qr(left, mode="r") @ np.linalg.qr(right.T, mode="r").T, compute_uv=False) ** 2
        return float(values.sum() / values[0]) if values[0] else float("nan")

    @property
    def checkerboard(self) -> float:
        """How strongly the update repeats with the period of its kernel.

        Returns:
            The mean power of its two-dimensional Fourier transform at multiples of the frequency 1/period, over the
            mean power elsewhere. The constant part is in neither. Independent normal entries have 1 on average. NaN for
            an update of zeros, and with period 1, where every frequency is a multiple.
        """
        period = self.period
        left, right = self.factors
        cut = [factor[: len(factor) // period * period] for factor in (left, right.T)]
        # The transform at multiples of 1/period is that of the sum over all periods; Parseval gives the whole power.
        left, right = (factor.reshape(-1, period, factor.shape[1]).sum(0) for factor in cut)
        at = np.abs(np.fft.fft2(left @ right.T)) ** 2
        size = len(cut[0]) * len(cut[1])
        whole = size * ((cut[0].T @ cut[0]) * (cut[1].T @ cut[1])).sum()
        if period == 1 or not whole:
            return float("nan")
        elsewhere = (whole - at.sum()) / (size - at.size)
        return float((at.sum() - at[0, 0]) / (at.size - 1) / elsewhere)

    def redrawn(self, draw: np.random.Generator) -> "Update":
        """An update of the same shape from independent normal A, B and C."""
        return self._replace(**{name: draw.normal(size=getattr(self, name).shape) for name in "ABC"})


def redrawn(updates: Iterable[Update]) -> list[float]:
    """Checkerboards of random updates: of each shape `REDRAWS`, from the same random numbers in every call."""
    draw = np.random.default_rng(0)
    return [one.redrawn(draw).checkerboard for one in updates for _ in range(REDRAWS)]


def read(folder: Path) -> Iterator[Update]:
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


def measure(folder: Path) -> Updates | None:
    """Rank and checkerboards of a saved adapter; None if it is not DCFT's, or if it has learned nothing.

    Args:
        folder: a cell's `model`.
    """
    settings = folder / "adapter_config.json"
    if not settings.is_file() or json.loads(settings.read_text(encoding="utf-8"))["peft_type"] != "DCFT":
        return None
    ranks = [(one, one.stable_rank) for one in read(folder)]
    learned = [(one, rank) for one, rank in ranks if rank >= 1]  # NaN is no rank
    if not learned:
        return None
    patterned = [one for one, _ in learned if one.period > 1]
    return Updates(
        stable_rank=median(rank for _, rank in learned),
        checkerboard=median(one.checkerboard for one in patterned) if patterned else None,
        checkerboard_drawn=median(redrawn(patterned)) if patterned else None,
    )
