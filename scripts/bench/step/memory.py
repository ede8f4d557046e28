"""Peak memory of a step, counted by the allocator: exact, repeatable, and the same quantity on a CPU and on CUDA.

The resident set of the process would also hold the other rows, and what the C library keeps of freed memory. So the
peak is the sum of two parts: what a row holds between steps (its weights, frozen ones included, and the optimiser's
state) and the most that one step has allocated at any moment above that (activations, gradients, scratch tensors).
Scratch memory inside of a library's kernel is not a tensor and is not counted.
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
    """Bytes that a row holds and that a step allocates above that; the peak is their sum."""
    return {"held": held(model, optimizer), "step": allocated(step, device)}


def held(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Bytes of a model's parameters and buffers and of the optimiser's state; shared memory counts in full."""
    tensors = [*model.parameters(), *model.buffers()]
    for state in optimizer.state.values():
        tensors += [value for value in state.values() if isinstance(value, torch.Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def allocated(work: Callable[[], object], device: torch.device) -> int:
    """Bytes that one call has allocated at its peak, above what there was before."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with _silent(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    # Memory that was allocated before the call and is freed in it has no size here: the profiler reports none.
    return max((event["args"]["Total Allocated"] for event in events if event.get("name") == "[memory]"), default=0)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """The profiler writes two lines a call to the file descriptor of stderr, whatever its log level."""
    stderr, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nothing)
