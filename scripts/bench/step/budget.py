"""Where the time of a step goes, line by line, from PyTorch's profiler."""

import time
from collections.abc import Callable

from torch.profiler import ProfilerActivity, profile

from bench.step.memory import silent

STEPS = 3  # profiled
LINES = {  # line of the budget -> PyTorch's operators
    "matrix products": "mm addmm addmm_ bmm baddbmm",
    "copies (heads, dtypes, gradients)": "copy_ cat clone contiguous _cat stack",
    "GELU": "gelu gelu_backward",
    "softmax": "_softmax _softmax_backward_data",
    "layer norm": "native_layer_norm native_layer_norm_backward",
    "random numbers of dropout": "random_ bernoulli_",
    "sums, products, comparisons by element": "mul mul_ add add_ ge_ div div_ sub neg masked_fill_ masked_fill where",
    "optimiser": "_fused_adamw_ _foreach_add_",
}
REST = "Python, autograd, dispatch and the rest"


def budget(step: Callable[[], object]) -> dict[str, float]:
    """Milliseconds of one step by line of `LINES`, and `REST`: what is missing to the step's time by the clock.

    The profiler itself takes time, which is in `REST`.
    """
    with silent(), profile(activities=[ProfilerActivity.CPU]) as profiler:
        started = time.perf_counter()
        for _ in range(STEPS):
            step()
        seconds = time.perf_counter() - started
    own = {event.key.removeprefix("aten::"): event.self_cpu_time_total for event in profiler.key_averages()}
    lines = {line: sum(own.get(name, 0.0) for name in names.split()) / STEPS / 1e3 for line, names in LINES.items()}
    return lines | {REST: 1e3 * seconds / STEPS - sum(lines.values())}
