"""Replicas of one adapter on one frozen backbone, in one pass.

The batches of all replicas are joined to one of `replicas * rows` sequences, replica after replica. Frozen layers see
one large batch. Each adapted layer applies the factors of each replica to its own rows by a batched product. Trained
tensors of all replicas are stacked along their first dimension, so one elementwise optimiser steps all of them.
"""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from dcft.backbones.lean_attention import LeanSelfAttention
from dcft.tuners.dcft import DcftLayer
from dcft.tuners.deconvolution import factors

ADAPTER = "default"


class _ReplicaLinear(torch.autograd.Function):
    """`dcft.tuners.factored.factored_linear` for one layer and several pairs of factors: the same passes over x and y.

    x: `... x in`, replica after replica; left: `replicas x out x rank`; right: `replicas x rank x in`.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, left: Tensor, right: Tensor) -> Tensor:
        inner = x.reshape(len(right), -1, x.shape[-1]) @ right.mT
        ctx.save_for_backward(x, weight, left, right, inner)
        y = F.linear(x, weight, bias)
        y.view(len(left), -1, y.shape[-1]).baddbmm_(inner, left.mT)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, left, right, inner = ctx.saved_tensors
        rows, grads = (tensor.reshape(len(left), -1, tensor.shape[-1]) for tensor in (x, grad))
        grad_inner, grad_x = grads @ left, None
        if ctx.needs_input_grad[0]:
            grad_x = (grad.reshape(-1, grad.shape[-1]) @ weight).view(rows.shape)
            grad_x = grad_x.baddbmm_(grad_inner, right).view(x.shape)
        return grad_x, None, None, (inner.mT @ grads).mT, grad_inner.mT @ rows


class ReplicaLinear(nn.Module):
    """A frozen linear layer with the updates of all replicas; `factors` are set before each forward pass."""

    factors: tuple[Tensor, Tensor]

    def __init__(self, base_layer: nn.Linear):
        super().__init__()
        self.base_layer = base_layer

    def forward(self, x: Tensor) -> Tensor:
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        operands = (x, self.base_layer.weight, self.base_layer.bias, *self.factors)
        return _ReplicaLinear.apply(*(operand.to(dtype) for operand in operands))


class Heads(nn.Module):
    """A linear layer of the head, one for each replica."""

    def __init__(self, layers: list[nn.Linear]):
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.baddbmm(self.bias[:, None], x.reshape(len(self.weight), -1, x.shape[-1]), self.weight.mT)
        return y.view(*x.shape[:-1], -1)


class ReplicaAttention(LeanSelfAttention):
    """DeBERTa's attention. Positions are projected by each replica's layers, so heads of replicas are apart."""

    replicas: int

    def _by_head(self, states: Tensor) -> Tensor:
        by_head = super()._by_head(states)
        return by_head.view(len(by_head) * self.replicas, -1, by_head.shape[-1])


class PositionDropout(nn.Module):
    """A copy of the position embeddings for each replica, with a dropout of its own."""

    def __init__(self, dropout: nn.Module, replicas: int):
        super().__init__()
        self.dropout, self.replicas = dropout, replicas

    def forward(self, embeddings: Tensor) -> Tensor:
        return self.dropout(embeddings.expand(self.replicas, *embeddings.shape))


class Replicas(nn.Module):
    """One model that computes several.

    Args:
        models: the suite's models, equal but for their trained tensors (DCFT or LoRA, and the head), on one backbone
            whose attention is "lean" if it is DeBERTa's. The first is changed in place.
        coefficient: of DCFT's orthogonality penalty.
    """

    def __init__(self, models: list[nn.Module], coefficient: float = 0.0):
        super().__init__()
        self.replicas, self.coefficient = len(models), coefficient
        self.model = models[0]
        self.stacked: list[tuple[nn.Parameter, str | list[str]]] = []  # with its name, or those along dimension 1
        self.adapters = nn.ModuleList()
        same_kind = defaultdict(list)
        modules = [dict(model.named_modules()) for model in models]
        for name, module in modules[0].items():
            if isinstance(module, (DcftLayer, LoraLayer)):
                names, build = _adapter(module)
                shapes = tuple(module.get_parameter(part).shape for part in names)
                same_kind[shapes, tuple(names), tuple(build.keywords.items())].append((name, build))
            elif isinstance(module, nn.Linear) and module.weight.requires_grad and ".lora_" not in name:
                heads = Heads([each[name] for each in modules])
                self.stacked += [(heads.weight, f"{name}.weight"), (heads.bias, f"{name}.bias")]
                self.model.set_submodule(name, heads)
            elif isinstance(module, LeanSelfAttention):
                module.__class__, module.replicas = ReplicaAttention, self.replicas
                module.pos_dropout = PositionDropout(module.pos_dropout, self.replicas)
        for (_, parts, _), members in same_kind.items():
            layers = [name for name, _ in members]
            self.adapters.append(Adapters(modules, layers, parts, members[0][1]))
            self.stacked += [
                (tensor, [f"{layer}.{part}" for layer in layers])
                for part, tensor in zip(parts, self.adapters[-1].tensors, strict=True)
            ]
            for layer, target in zip(layers, self.adapters[-1].layers, strict=True):
                self.model.set_submodule(layer, target)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
        """Losses of the replicas, penalties included.

        Args:
            input_ids, attention_mask: `replicas * rows x tokens`, replica after replica.
            labels: `replicas * rows`, of classes.
        """
        for adapters in self.adapters:
            adapters.build_factors()
        logits = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        losses = F.cross_entropy(logits, labels, reduction="none").view(self.replicas, -1).mean(1)
        return losses + self.coefficient * self._penalties() if self.coefficient else losses

    def _penalties(self) -> Tensor:
        """`dcft.tuners.dcft.orthogonality_loss` in the form of the official code, for each replica."""
        norms = []
        for adapters in self.adapters:
            A, B, _ = adapters.tensors
            for rows in (A, B.mT):
                with torch.autocast(rows.device.type, enabled=False):
                    gram = rows @ rows.mT
                identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
                norms.append(torch.linalg.matrix_norm(gram - identity))
        return torch.cat(norms, dim=1).mean(1)

    def clip(self, largest: float) -> None:
        """Scale each replica's gradient down to a norm of at most `largest`, as `clip_grad_norm_` does for one."""
        gradients = [parameter.grad for parameter, _ in self.stacked]
        norms = torch.cat([gradient.flatten(1) for gradient in gradients], dim=1).norm(dim=1)
        factor = (largest / (norms + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factor.view(-1, *[1] * (gradient.dim() - 1)))

    def gradients(self, replica: int) -> dict[str, Tensor]:
        """One replica's gradients by the names that its parameters had in its own model."""
        found = {}
        for parameter, names in self.stacked:
            gradient = parameter.grad[replica]
            found |= {names: gradient} if isinstance(names, str) else dict(zip(names, gradient, strict=True))
        return found


class Adapters(nn.Module):
    """The adapters of all layers of one size, of all replicas.

    Args:
        modules: of each replica's model, by name.
        layers: names of the adapted layers.
        parts: names of their trained tensors.
        build: makes factors of the tensors, whatever their leading dimensions.
    """

    def __init__(self, modules: list[dict[str, nn.Module]], layers: list[str], parts: tuple[str, ...], build: Callable):
        super().__init__()
        stack = [
            [torch.stack([each[layer].get_parameter(part).detach() for layer in layers]) for each in modules]
            for part in parts
        ]
        self.tensors = nn.ParameterList(nn.Parameter(torch.stack(tensors)) for tensors in stack)
        self.build = build
        self.layers = [ReplicaLinear(modules[0][layer].get_base_layer()) for layer in layers]

    def build_factors(self) -> None:
        """Build the factors of all layers and replicas together, and hand them to the layers."""
        with torch.autocast(self.tensors[0].device.type, enabled=False):
            lefts, rights = self.build(*self.tensors)
        for layer, *pair in zip(self.layers, lefts.unbind(1), rights.unbind(1), strict=True):
            layer.factors = tuple(pair)


def _adapter(layer: nn.Module) -> tuple[list[str], partial]:
    """Names of an adapter's trained tensors, and what makes its factors (left, right) of them."""
    scaling = layer.scaling[ADAPTER]
    if isinstance(layer, DcftLayer):
        names = [f"{name}.{ADAPTER}" for name in layer.adapter_layer_names]
        return names, partial(_dcft, stride=layer.stride[ADAPTER], scaling=scaling)
    return [f"lora_{name}.{ADAPTER}.weight" for name in "AB"], partial(_lora, scaling=scaling)


def _dcft(A: Tensor, B: Tensor, C: Tensor, stride: int, scaling: float) -> tuple[Tensor, Tensor]:
    return factors(A, B, C * scaling, stride)


def _lora(A: Tensor, B: Tensor, scaling: float) -> tuple[Tensor, Tensor]:
    return B * scaling, A
