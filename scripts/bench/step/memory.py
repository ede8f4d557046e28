"""Peak memory of a step in bytes, counted by the allocator: exact, repeatable, and the same on a CPU and on CUDA.

The peak is a sum of two parts. `held` is what a row keeps between steps: all weights and the optimiser's state. `step`
is the most that a step allocates above that: activations, gradients, scratch tensors. Scratch memory inside a library's
kernel is not a tensor and is not counted. The process's resident set is no measure: it holds the other rows too, and
memory that the C library keeps after it was freed.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile


def peak(model: nn.Module, optimizer: torch.optim.Optimizer, step: Callable[[], object], device: torch.device) -> dict:
    """The two parts of a step's peak memory, in bytes."""
    return {"held": held(model, optimizer), "step": allocated(step, device)}


def held(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Bytes of a model's parameters and buffers and of the optimiser's state; shared weights count in every row."""
    tensors = [*model.parameters(), *model.buffers()]
    for state in optimizer.state.values():
        tensors += [value for value in state.values() if isinstance(value, torch.Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def allocated(workload: Callable[[], object], device: torch.device) -> int:
    """Bytes allocated at the peak of one call, above those allocated before it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        workload()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with silent(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        workload()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    # The profiler reports no size for memory that was allocated before the call and is freed in it. What is left of
    # earlier profiles of this process is in its totals.
    sizes = [event["args"] for event in sorted(events, key=_start) if event.get("name") == "[memory]"]
    before = sizes[0]["Total Allocated"] - sizes[0]["Bytes"] if sizes else 0
    return max((size["Total Allocated"] for size in sizes), default=before) - before


def _start(event: dict) -> float:
    return event.get("ts", 0.0)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Discard stderr: the profiler writes two lines a call to its file descriptor, whatever the log level."""
    stderr, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nothing)
