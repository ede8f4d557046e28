"""A frozen linear layer with a low-rank update that is applied as two skinny products, forward and backward."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from peft.tuners.tuners_utils import check_adapters_to_merge
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.distributed.tensor import DTensor

from dcft.tuners.base import LinearTunerLayer


def factored_linear(x: Tensor, weight: Tensor, bias: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
    """`y = x (weight + left right)^T + bias` without the sum of the two matrices.

    Forward it reads x and y once more than the layer alone, backward the gradients of both once or twice: the update is
    added in place into what the large product has written, which autograd by itself would not do for the gradient of x.

    Args:
        x: `... x in`; computed in autocast's type, if it is on.
        weight: `out x in`.
        bias: `out`, or None.
        left: `out x rank`; fastest as the transpose of a contiguous `rank x out`.
        right: `rank x in`.

    Returns:
        `... x out`.
    """
    device = x.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
    tensors = (tensor if tensor is None else tensor.to(dtype) for tensor in (x, weight, bias, left, right))
    return _FactoredLinear.apply(*tensors)


class _FactoredLinear(torch.autograd.Function):
    # Products are written so that the long dimension of a skinny matrix is contiguous: three times faster on a CPU.

    @staticmethod
    def forward(ctx, x, weight, bias, left, right):
        y = F.linear(x, weight, bias)
        inner = F.linear(x, right).view(-1, right.shape[0])
        y.view(-1, y.shape[-1]).addmm_(inner, left.T)
        ctx.save_for_backward(x, weight, left, right, inner)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight, left, right, inner = ctx.saved_tensors
        grad, rows = grad.reshape(-1, grad.shape[-1]), x.reshape(-1, x.shape[-1])
        grad_inner = grad @ left
        grads = [None] * 5
        if ctx.needs_input_grad[0]:
            grads[0] = (grad @ weight).addmm_(grad_inner, right).view(x.shape)
        if ctx.needs_input_grad[1]:
            grads[1] = grad.T @ rows
        if ctx.needs_input_grad[2]:
            grads[2] = grad.sum(0)
        if ctx.needs_input_grad[3]:
            grads[3] = (inner.T @ grad).T
        if ctx.needs_input_grad[4]:
            grads[4] = grad_inner.T @ rows
        return tuple(grads)


class FactoredLayer(LinearTunerLayer):
    """A linear layer plus a low-rank update, `y = W x + left (right x)`; subclasses give the factors."""

    def __init__(self, base_layer: nn.Module, adapter_name: str) -> None:
        super().__init__(base_layer, adapter_name)
        self._unmerged_weight: Tensor | None = None

    def get_factors(self, adapter_name: str) -> tuple[Tensor, Tensor]:
        """The update as `left (out x rank) @ right (rank x in)`, scaling included."""
        raise NotImplementedError

    def get_delta_weight(self, adapter_name: str) -> Tensor:
        """The dense update (`out x in`, scaling included); used to merge and to convert, never in training."""
        left, right = self.get_factors(adapter_name)
        return left @ right

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Add the updates of the active (or named) adapters to the weight; the weight as it was is kept for unmerge."""
        base_layer = self.get_base_layer()
        for adapter_name in check_adapters_to_merge(self, adapter_names):
            if not self.has(adapter_name):
                continue
            delta = self.get_delta_weight(adapter_name).detach()
            merged = (base_layer.weight.data.to(delta.dtype) + delta).to(base_layer.weight.dtype)
            if safe_merge and not torch.isfinite(merged).all():
                raise ValueError(f"adapter {adapter_name} has NaN or infinite entries; nothing was merged")
            if not self.merged_adapters:
                self._unmerged_weight = base_layer.weight.data
            base_layer.weight.data = merged
            self.merged_adapters.append(adapter_name)

    def unmerge(self) -> None:
        """Put the weight back, bit for bit, as it was before the first merge."""
        if not self.merged:
            warnings.warn("Already unmerged. Nothing to do.", stacklevel=2)
            return
        self.get_base_layer().weight.data = self._unmerged_weight
        self._unmerged_weight = None
        self.merged_adapters = []

    @property
    def acting_adapters(self) -> list[str]:
        """The adapters that a forward pass applies."""
        return [] if self.disable_adapters or self.merged else list(filter(self.has, self.active_adapters))

    def forward(self, x: Tensor, *args, **kwargs) -> Tensor:
        if self.disable_adapters and self.merged:
            self.unmerge()
        active = self.acting_adapters
        if not active:
            return self.base_layer(x, *args, **kwargs)
        lefts, rights = zip(*map(self.get_factors, active), strict=True)
        left, right = (lefts[0], rights[0]) if len(active) == 1 else (torch.cat(lefts, 1), torch.cat(rights))
        base = self.base_layer
        if _computes_as_a_linear_layer(base):
            return factored_linear(x, base.weight, base.bias, left, right)
        result = base(x, *args, **kwargs)
        return result + F.linear(F.linear(self._cast_input_dtype(x, right.dtype), right), left).to(result.dtype)

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:
        return True


def _computes_as_a_linear_layer(module: nn.Module) -> bool:
    """Not a subclass (quantised, another adapter), no hooks that want to see its input, no forward put in its place."""
    hooks = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    return type(module) is nn.Linear and not hooks and "forward" not in vars(module)


@contextmanager
def merged(model: nn.Module) -> Iterator[None]:
    """Within this context the active adapters are merged, so that they cost nothing; then all weights are as before.

    Where processes share out the weights (FSDP), nothing is merged and the adapters are applied as in training.

    Args:
        model: any model; layers without a factored adapter, or whose adapters are merged or disabled, are left alone.
    """
    layers = [module for module in model.modules() if isinstance(module, FactoredLayer) and module.acting_adapters]
    if any(isinstance(layer.get_base_layer().weight, DTensor) for layer in layers):
        layers = []
    try:
        for layer in layers:
            layer.merge()
        yield
    finally:
        for layer in layers:
            if layer.merged:
                layer.unmerge()
