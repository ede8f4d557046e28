"""The matrix products of a step by themselves: the time that the step would take if nothing else took any."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

PRODUCTS = (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm, torch.ops.aten.baddbmm)


@dataclass(frozen=True)
class Product:
    """A product: its operator, and shape, strides and type of each matrix."""

    operator: Any
    matrices: tuple[tuple[torch.Size, tuple[int, ...], torch.dtype], ...]

    @property
    def flops(self) -> int:
        """Multiplications and additions; a bias is not counted."""
        (*rows, inner), *_ = (shape for shape, *_ in self.matrices[-2:])
        return 2 * math.prod(rows) * inner * self.matrices[-1][0][-1]


class Recorder(TorchDispatchMode):
    """Counts the products that PyTorch computes in this context, forward and backward."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[Product] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in PRODUCTS:
            matrices = tuple((part.shape, part.stride(), part.dtype) for part in args if isinstance(part, Tensor))
            self.counts[Product(func, matrices)] += 1
        return func(*args, **(kwargs or {}))


class Products:
    """The products of one step, computed one after the other on random matrices.

    Products of equal shapes share their matrices, so these lie in the cache more often than those of a step.

    Args:
        step: the workload whose products are recorded, in one call.
        device: where they are computed.
    """

    def __init__(self, step: Callable[[], object], device: torch.device):
        with Recorder() as recorder:
            step()
        self.gflop = sum(product.flops * count for product, count in recorder.counts.items()) / 1e9
        self.calls = [
            (product.operator, [_random(*matrix, device) for matrix in product.matrices], count)
            for product, count in recorder.counts.items()
        ]

    @torch.no_grad()
    def __call__(self) -> None:
        for operator, matrices, count in self.calls:
            for _ in range(count):
                operator(*matrices)


def _random(shape: torch.Size, strides: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    size = 1 + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    return torch.randn(size, device=device).to(dtype).as_strided(shape, strides)
