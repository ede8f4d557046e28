"""Frozen linear layers with low-rank updates that are applied as skinny products, forward and backward."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.tuners_utils import check_adapters_to_merge
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers.pytorch_utils import Conv1D

from dcft.tuners.base import LinearTunerLayer


def factored_linear(x: Tensor, *layers: tuple[Tensor, Tensor | None, Tensor, Tensor]) -> tuple[Tensor, ...]:
    """`y = x (weight + left right)^T + bias` of one or several layers, without the sum of the two matrices.

    Extra memory traffic compared with the frozen layers. Forward: x and each y once. Backward: each dy twice, x twice,
    dx once. The skinny products of all layers are computed together. Their results are added in place to those of the
    large products; autograd alone would not do so for dx.

    Args:
        x: `... x in`; cast to autocast's dtype, if autocast is on.
        layers: of each layer the weight (`out x in`), bias (`out`, or None), left (`out x rank`; fastest as the
            transpose of a contiguous `rank x out`) and right (`rank x in`).

    Returns:
        `... x out` for each layer.
    """
    device = x.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
    tensors = (x, *(tensor for layer in layers for tensor in layer))
    tensors = tuple(tensor if tensor is None else tensor.to(dtype) for tensor in tensors)
    return (_FactoredLinear.apply(*tensors),) if len(layers) == 1 else _JointLinears.apply(*tensors)


# Both functions keep `right x` as rank x rows, and write products so that the long side of each skinny matrix is
# contiguous: a CPU is two to three times faster with it than with the transpose. Skinny products come first, and the
# large ones are added to them: a large product hides the time that reading the sum takes.


class _FactoredLinear(torch.autograd.Function):
    """One layer: no operators beside the products, because small batches wait for Python."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        inner = right @ rows.T
        ctx.save_for_backward(x, weight, left, right, inner)
        return _output(rows, weight, bias, left, inner).view(*x.shape[:-1], left.shape[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, left, right, inner = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad[:3]
        grad, rows = grad.reshape(-1, left.shape[0]), x.reshape(-1, x.shape[-1])
        grad_inner = left.T @ grad.T
        return (
            (grad_inner.T @ right).addmm_(grad, weight).view(x.shape) if of_x else None,
            grad.T @ rows if of_weight else None,
            grad.sum(0) if of_bias else None,
            (inner @ grad).T,
            grad_inner @ rows,
        )


class _JointLinears(torch.autograd.Function):
    """Several layers with one input: two skinny products for all of them instead of two for each."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *tensors: Any) -> tuple[Tensor, ...]:
        weights, biases, lefts, rights = (tensors[i::4] for i in range(4))
        right = torch.cat(rights)
        rows = x.reshape(-1, x.shape[-1])
        inner = right @ rows.T
        ctx.ranks = [part.shape[0] for part in rights]
        ctx.save_for_backward(x, right, inner, *weights, *lefts)
        layers = zip(weights, biases, lefts, inner.split(ctx.ranks), strict=True)
        return tuple(_output(rows, *layer).view(*x.shape[:-1], len(layer[0])) for layer in layers)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, right, inner, *rest = ctx.saved_tensors
        weights, lefts = rest[: len(grads)], rest[len(grads) :]
        of_x, *needed = ctx.needs_input_grad
        rows = x.reshape(-1, x.shape[-1])
        grads = tuple(grad.reshape(-1, left.shape[0]) for grad, left in zip(grads, lefts, strict=True))
        grad_inner = torch.cat([left.T @ grad.T for grad, left in zip(grads, lefts, strict=True)])
        grad_x = None
        if of_x:
            grad_x = grad_inner.T @ right
            for grad, weight in zip(grads, weights, strict=True):
                grad_x.addmm_(grad, weight)
            grad_x = grad_x.view(x.shape)
        grad_tensors = []
        grad_rights = (grad_inner @ rows).split(ctx.ranks)
        parts = inner.split(ctx.ranks)
        layers = zip(grads, parts, grad_rights, needed[::4], needed[1::4], strict=True)
        for grad, part, grad_right, of_weight, of_bias in layers:
            grad_tensors += [grad.T @ rows if of_weight else None, grad.sum(0) if of_bias else None]
            grad_tensors += [(part @ grad).T, grad_right]
        return grad_x, *grad_tensors


def _output(rows: Tensor, weight: Tensor, bias: Tensor | None, left: Tensor, inner: Tensor) -> Tensor:
    """`rows weight^T + bias + (left inner)^T`, `rows x out`."""
    update = inner.T @ left.T if bias is None else torch.addmm(bias, inner.T, left.T)
    return update.addmm_(rows, weight.T)


class FactoredLayer(LinearTunerLayer):
    """A linear layer plus a low-rank update, `y = W x + left (right x)`; subclasses define the factors.

    The weight may be quantised (bitsandbytes, torchao): the layer then computes as alone, and the update is added.
    """

    adapts = "torch.nn.Linear and transformers' Conv1D only"

    @staticmethod
    def fits(module: nn.Module) -> bool:
        return isinstance(module, (nn.Linear, Conv1D))

    def __init__(self, base_layer: nn.Module, adapter_name: str) -> None:
        super().__init__(base_layer, adapter_name)
        self.unmerged_weight: Tensor | None = None  # while adapters are merged

    def get_factors(self, adapter_name: str) -> tuple[Tensor, Tensor]:
        """The update as `left (out x rank) @ right (rank x in)`, scaling included."""
        raise NotImplementedError

    def get_delta_weight(self, adapter_name: str) -> Tensor:
        """The dense update (`out x in`, scaling included); used to merge and to convert, never in training."""
        left, right = self.get_factors(adapter_name)
        return left @ right

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Add the updates of the active (or named) adapters to the weight, and keep the original weight for `unmerge`.

        Raises:
            ValueError: with `safe_merge`, if the merged weight is not finite.
            TypeError: if the weight is quantised, which writing it would destroy.
        """
        base_layer = self.get_base_layer()
        if not self.mergeable:
            weight = base_layer.weight.data
            kind = f"{type(base_layer).__name__} ({type(weight).__name__} of {weight.dtype})"
            raise TypeError(f"the weight of a {kind} takes no update; leave the adapter unmerged")
        for adapter_name in check_adapters_to_merge(self, adapter_names):
            if not self.has(adapter_name):
                continue
            delta = self.get_delta_weight(adapter_name).detach()
            delta = delta.T if self.transposed else delta
            merged = (base_layer.weight.data.to(delta.dtype) + delta).to(base_layer.weight.dtype)
            if safe_merge and not torch.isfinite(merged).all():
                raise ValueError(f"adapter {adapter_name} has NaN or infinite entries; nothing was merged")
            if not self.merged_adapters:
                self.unmerged_weight = base_layer.weight.data
            base_layer.weight.data = merged
            self.merged_adapters.append(adapter_name)

    @property
    def mergeable(self) -> bool:
        """Whether the weight holds plain numbers: neither quantised nor one process's share."""
        weight = self.get_base_layer().weight.data
        return type(weight) is Tensor and weight.is_floating_point()

    def unmerge(self) -> None:
        """Restore the weight from before the first merge, bit for bit."""
        if self.unmerged_weight is None:
            warnings.warn("Already unmerged. Nothing to do.", stacklevel=2)
            return
        self.get_base_layer().weight.data = self.unmerged_weight
        self.unmerged_weight = None
        self.merged_adapters = []

    @property
    def acting_adapters(self) -> list[str]:
        """The adapters that a forward pass applies."""
        return [] if self.disable_adapters or self.merged else list(filter(self.has, self.active_adapters))

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if self.disable_adapters and self.merged:
            self.unmerge()
        if not self.acting_adapters:
            return self.base_layer(x, *args, **kwargs)
        if _is_plain_linear(self.base_layer):
            return factored_linear(x, self._operands())[0]
        result = self.base_layer(x, *args, **kwargs)
        *_, left, right = self._operands()
        return result + F.linear(F.linear(self._cast_input_dtype(x, right.dtype), right), left).to(result.dtype)

    def _operands(self) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        """The frozen weight and bias, and the factors of all acting adapters as one pair."""
        base, pairs = self.get_base_layer(), list(map(self.get_factors, self.acting_adapters))
        if len(pairs) == 1:
            return base.weight, base.bias, *pairs[0]
        lefts, rights = zip(*pairs, strict=True)
        return base.weight, base.bias, torch.cat(lefts, 1), torch.cat(rights)

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:
        return True


def project(x: Tensor, *layers: nn.Module) -> tuple[Tensor, ...]:
    """The outputs of several layers for the same input, e.g. query, key and value.

    If all layers are factored, they are computed together by `factored_linear`; otherwise one after the other.

    Args:
        x: `... x in`.
        layers: modules that take x alone.

    Returns:
        `... x out` for each layer.
    """
    factored = [
        layer
        for layer in layers
        if isinstance(layer, FactoredLayer)
        and layer.acting_adapters
        and _has_no_hooks(layer)
        and _is_plain_linear(layer.base_layer)
    ]
    if len(factored) == len(layers):
        return factored_linear(x, *(layer._operands() for layer in factored))
    return tuple(layer(x) for layer in layers)


def _is_plain_linear(module: nn.Module) -> bool:
    """Whether weight and bias describe the whole layer: no subclass, no other adapter, no hooks, not quantised.

    bitsandbytes has layers of its own, torchao a tensor of its own in an `nn.Linear`.
    """
    return type(module) is nn.Linear and type(module.weight) in (nn.Parameter, Tensor) and _has_no_hooks(module)


def _has_no_hooks(module: nn.Module) -> bool:
    """Whether calling the module runs its class's `forward` and nothing else."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return "forward" not in vars(module) and not any(getattr(module, kind) for kind in kinds)


@contextmanager
def merged(model: nn.Module) -> Iterator[None]:
    """Merge the active adapters inside this context, so that they cost nothing. Afterwards all weights are restored.

    Quantised weights, and the shares that FSDP gives a process, stay as they are: their adapters act as in training.

    Args:
        model: any model. Layers without factored adapters, or with merged or disabled ones, stay as they are.
    """
    layers = [module for module in model.modules() if isinstance(module, FactoredLayer) and module.acting_adapters]
    layers = [layer for layer in layers if layer.mergeable]
    try:
        for layer in layers:
            layer.merge()
        yield
    finally:
        for layer in layers:
            if layer.merged:
                layer.unmerge()
