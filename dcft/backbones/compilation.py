"""torch.compile for a backbone: each of its layers by itself, for a few lengths that batches are padded to.

Layers are compiled, not the model: they share code, so that the compiler works on one of them, not on 12 or 48. Shapes
are static, which gives the fastest code, and a shape that has not been seen is compiled anew. So batches are padded to
a multiple of some length; a short batch at an epoch's end is a shape of its own.
"""

import math

import torch
from torch import nn

from dcft.errors import UserError

STEP, LENGTHS = 32, 8  # tokens; at most so many lengths: what padding costs, against what compiling costs


def require() -> None:
    """Make sure that torch.compile works here: on a CPU it needs a C++ compiler, on a GPU Triton and a C compiler.

    Raises:
        UserError: if it does not; with the compiler's first words.
    """
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    try:
        torch.compile(lambda x: x.sin() + 1, dynamic=False)(torch.ones(8, device=device))
    except Exception as error:  # whatever the compiler met
        reason = str(error).strip().splitlines()[0]
        needs = "a C++ compiler" if device.type == "cpu" else "Triton and a C compiler"
        raise UserError(f"compile=true needs {needs}; PyTorch's compiler says: {reason}; leave compile= out") from error


def use(layers: nn.ModuleList) -> None:
    """Compile a backbone's layers in place, when they are first called; parameters and their names stay as they are.

    The default mode, not "reduce-overhead": CUDA graphs hold the memory of every layer, pass and shape, and record
    again whenever a weight's address changes, as it does where adapters are merged for an evaluation.
    """
    # A layer is compiled for each shape, with and without a mask, first or later, in training and in evaluation. Beyond
    # PyTorch's usual limit of 8 it would go on uncompiled.
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit
    for layer in layers:
        layer.compile(dynamic=False)


def multiple(max_length: int) -> int:
    """What to pad lengths up to a multiple of, in tokens, so that there are at most `LENGTHS` of them."""
    return STEP * math.ceil(max_length / (STEP * LENGTHS))
