"""Times that can be compared: every round runs each piece of work once, so all see the same machine."""

import random
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.progress import track


def milliseconds(work: Callable[[], object], device: torch.device, calls: int = 1) -> float:
    """Time of one call, mean over some: by events of the device on CUDA, by the clock of the machine elsewhere."""
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(device)
        start.record()
        for _ in range(calls):
            work()
        end.record()
        torch.cuda.synchronize(device)
        return start.elapsed_time(end) / calls
    started = time.perf_counter()
    for _ in range(calls):
        work()
    return 1e3 * (time.perf_counter() - started) / calls


def interleave(
    works: dict[str, Callable[[], object]], rounds: int, device: torch.device, about: str, calls: int = 1
) -> dict[str, list[float]]:
    """Time each piece of work once a round, in an order drawn anew for every round.

    Args:
        works: by name; all of them warm.
        rounds: how many times each is timed.
        about: what the progress bar says.
        calls: how often it is called each time, where once is too short to measure.

    Returns:
        Milliseconds by name, one a round; the n-th of all names belong to the same round.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    order, draw = list(works), random.Random(0)
    console = Console(stderr=True)
    for _ in track(range(rounds), about, console=console, transient=True, disable=not console.is_terminal):
        draw.shuffle(order)
        for name in order:
            times[name].append(milliseconds(works[name], device, calls))
    return times
