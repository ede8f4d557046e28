"""torch.compile for a backbone: layer by layer, for a few padded lengths.

Layers are compiled instead of the model: they share their code, so the compiler works on 1 layer instead of 12 or 48.
Static shapes give the fastest code, but every new shape is compiled. Batches are therefore padded to a multiple of
some length. The incomplete batch at an epoch's end is one more shape.
"""

import math

import torch
from torch import nn

from dcft.errors import UserError

STEP = 32  # tokens; padded lengths are multiples of it
LENGTHS = 8  # padded lengths at most: more of them need less padding and more compilation


def require() -> None:
    """Make sure that torch.compile works here: on a CPU it needs a C++ compiler, on a GPU Triton and a C compiler.

    Raises:
        UserError: if it does not work; with the first line of the compiler's error.
    """
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    try:
        torch.compile(lambda x: x.sin() + 1, dynamic=False)(torch.ones(8, device=device))
    except Exception as error:  # the compiler raises errors of many types
        reason = str(error).strip().splitlines()[0]
        needs = "a C++ compiler" if device.type == "cpu" else "Triton and a C compiler"
        raise UserError(f"compile=true needs {needs}; PyTorch's compiler says: {reason}; leave compile= out") from error


def use(layers: nn.ModuleList) -> None:
    """Compile a backbone's layers in place, at their first call. Parameters and their names stay as they are.

    The mode is the default one, not "reduce-overhead": CUDA graphs would hold memory for every layer, pass and shape.
    They would also be recorded anew after every evaluation, because merging adapters changes the weights' addresses.
    """
    # The code is compiled for each shape, with and without a mask, for the first and for later layers, for training and
    # for evaluation. Beyond PyTorch's default limit of 8 it would run uncompiled.
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit
    for layer in layers:
        layer.compile(dynamic=False)


def multiple(max_length: int) -> int:
    """The multiple, in tokens, that lengths are padded to, so that at most `LENGTHS` padded lengths occur."""
    return STEP * math.ceil(max_length / (STEP * LENGTHS))
