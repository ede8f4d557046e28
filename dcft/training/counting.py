"""Floating-point operations of a training step and of a prediction, counted in the products that PyTorch computes.

Matrix products, convolutions and attention count by the formulas of `torch.utils.flop_counter`; everything elementwise
is left out. They are seen where PyTorch dispatches them, so those inside of hand-written autograd functions count as
well. PyTorch's `FlopCounterMode` follows the modules too, which takes longer.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from dcft.tuners.bottleneck import BottleneckLayer
from dcft.tuners.factored import FactoredLayer, merged

ATEN = torch.ops.aten
FORMULAS = flop_registry | {  # and those that PyTorch lacks: products added in place, and fused attention on a CPU
    ATEN.addmm_: flop_registry[ATEN.addmm],
    ATEN.baddbmm_: flop_registry[ATEN.baddbmm],
    ATEN._scaled_dot_product_flash_attention_for_cpu: flop_registry[ATEN._scaled_dot_product_flash_attention],
    ATEN._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[
        ATEN._scaled_dot_product_flash_attention_backward
    ],
}
NOT_MERGEABLE = (BottleneckLayer,)


class _Counter(TorchDispatchMode):
    """Adds up the operations of what is computed in this context."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if formula := FORMULAS.get(func.overloadpacket):
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result


def of_step(model: nn.Module, batch: dict[str, Tensor], penalty: Callable[[], Tensor] | None = None) -> int:
    """Operations of forward, penalty and backward of one batch.

    They are linear in the rows, so batches of one and of two rows tell them: a part of a step's time and memory. The
    model's gradients and mode, and the random state, are as before.

    Args:
        model: with trainable parameters.
        batch: the model's inputs, labels among them, on its device.
        penalty: a method's term of the loss.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def count(rows: int) -> int:
        with _Counter() as counter:
            loss = model(**{name: part[:rows] for name, part in batch.items()}).loss
            if penalty is not None:
                loss = loss + penalty()
            torch.autograd.grad(loss, trained, allow_unused=True)  # leaves .grad alone
        return counter.total

    rows = len(next(iter(batch.values())))
    with _undisturbed(model, training=True):
        one = count(1)
        return one + (rows - 1) * (count(2) - one) if rows > 1 else one


@torch.no_grad()
def of_prediction(model: nn.Module, batch: dict[str, Tensor]) -> int:
    """Operations of a forward pass with every adapter merged that can be: then it costs what no adapter costs.

    Args:
        model: adapted or not; its weights, mode and the random state are as before.
        batch: the model's inputs, on its device.
    """
    others = [
        layer
        for layer in model.modules()
        if isinstance(layer, BaseTunerLayer) and not isinstance(layer, (FactoredLayer, *NOT_MERGEABLE))
    ]
    before = [layer._disable_adapters for layer in others]
    with _undisturbed(model, training=False), merged(model):
        try:
            # PEFT's context would make frozen parameters of the adapter trainable when it ends.
            for layer in others:
                layer._disable_adapters = True
            with _Counter() as counter:
                model(**batch)
        finally:
            for layer, disabled in zip(others, before, strict=True):
                layer._disable_adapters = disabled
    return counter.total


@contextmanager
def _undisturbed(model: nn.Module, training: bool) -> Iterator[None]:
    """A mode for a while, after which mode and random state are as before; nothing is compiled."""
    device, mode = next(model.parameters()).device, model.training
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.compiler.set_stance("force_eager"):
        model.train(training)
        try:
            yield
        finally:
            model.train(mode)
