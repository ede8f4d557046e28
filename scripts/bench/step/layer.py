"""An adapter by itself: one linear layer of a backbone, forward and backward, with and without it."""

import re
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.step.workload import Workload

MATRICES = ("attention_output", "intermediate", "output")  # one of each size; the other three are as the first
CALLS = {"cpu": 1, "cuda": 20}  # in one measurement: on CUDA a single call is over before its events are


def first_layer(work: Workload, module: str) -> nn.Module:
    """The linear layer of that name in the first layer of a row's backbone, with its adapter."""
    end = re.compile(rf"layer\.0\.{re.escape(module)}$")
    return next(found for name, found in work.model.named_modules() if end.search(name))


def passes(work: Workload, module: str, compiled: bool) -> Callable[[], None]:
    """Forward and backward of a row's layer: the gradients of its input and of what trains in it.

    Args:
        work: the row; its batch says how many tokens, its precision whether they are cast.
        module: name of the layer in the model, below its encoder layer.
        compiled: by torch.compile.

    """
    layer = first_layer(work, module)
    words = work.batch["input_ids"]
    x = torch.randn(*words.shape, layer.in_features, device=words.device, requires_grad=True)
    sources: list[Tensor] = [x, *(parameter for parameter in layer.parameters() if parameter.requires_grad)]
    forward = torch.compile(layer, dynamic=False) if compiled else layer
    with torch.no_grad(), work.autocast():
        gradient = torch.randn_like(forward(x))

    def once() -> None:
        with work.autocast():
            y = forward(x)
        torch.autograd.grad(y, sources, gradient)

    return once
