"""Times that can be compared: every round runs each workload once, so a slow moment of the machine hits all alike."""

import random
import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import track

from dcft.errors import UserError

if TYPE_CHECKING:
    import torch  # tables of ratios need no torch


def choose_device(given: str | None) -> "torch.device":
    """The device that `--device` names; without it, CUDA's if there is a GPU, else the CPU.

    Raises:
        UserError: for "cuda" without a GPU.
    """
    import torch

    available = "cuda" if torch.cuda.is_available() else "cpu"
    if given == "cuda" != available:
        raise UserError("--device cuda: PyTorch finds no CUDA device; give --device cpu")
    return torch.device(given or available)


def milliseconds(workload: Callable[[], object], device: "torch.device", calls: int = 1) -> float:
    """Mean time of one call in ms, measured by device events on CUDA and by the clock elsewhere."""
    if device.type == "cuda":
        import torch

        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(device)
        start.record()
        for _ in range(calls):
            workload()
        end.record()
        torch.cuda.synchronize(device)
        return start.elapsed_time(end) / calls
    started = time.perf_counter()
    for _ in range(calls):
        workload()
    return 1e3 * (time.perf_counter() - started) / calls


def interleave(
    workloads: dict[str, Callable[[], object]],
    rounds: int,
    device: "torch.device",
    description: str,
    calls: int = 1,
) -> dict[str, list[float]]:
    """Time each workload once a round; every round draws a new order.

    Args:
        workloads: by name, each warmed up.
        rounds: number of times that each is timed.
        device: where they run.
        description: text of the progress bar.
        calls: number of calls in one time, for workloads too short to be timed alone.

    Returns:
        Name -> ms of one call in each round.
    """
    times: dict[str, list[float]] = {name: [] for name in workloads}
    order, draw = list(workloads), random.Random(0)
    console = Console(stderr=True)
    for _ in track(range(rounds), description, console=console, transient=True, disable=not console.is_terminal):
        draw.shuffle(order)
        for name in order:
            times[name].append(milliseconds(workloads[name], device, calls))
    return times


def ratios(times: list[float], floor: list[float]) -> list[float]:
    """Each time divided by the floor's time of the same round, so that a slow round cancels out."""
    return [time / other for time, other in zip(times, floor, strict=True)]


def spread(values: list[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile."""
    lower, upper = np.quantile(values, [0.25, 0.75])
    return median(values), float(lower), float(upper)
