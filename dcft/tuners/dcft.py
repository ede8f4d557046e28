"""DCFT as a PEFT tuner: `get_peft_model(model, DcftConfig(...))`, saved, loaded, merged and converted by PEFT.

Paper: "Parameter-Efficient Fine-Tuning of Large Language Models via Deconvolution in Subspace", section 3 and
algorithm 1. The algebra is in `dcft.tuners.deconvolution`; the forward pass applies the two exact factors and
never builds the update itself.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from dcft.sizes import fits, fitting_kernels, subspace_size
from dcft.tuners.base import LinearTunerConfig, LinearTunerModel, register
from dcft.tuners.deconvolution import factors
from dcft.tuners.factored import FactoredLayer

OFFICIAL_INIT_STD = 0.02  # official code: A, B and C are drawn from N(0, 0.02^2); the paper says "randomly"


@dataclass
class DcftConfig(LinearTunerConfig):
    """PEFT's configuration of DCFT for linear layers.

    Args:
        kernel_size: d, the side of the deconvolution kernel C.
        stride: s, the step of the deconvolution. None: the kernel size, as in the paper (section 3.2.2).
        rank: k, the rank of the matrix that is deconvolved (the paper uses 1).
        scaling: factor on the update. The paper has none; the official code uses alpha / r (32 / 2 for RTE).
        init: "normal" draws A, B and C from N(0, 0.02^2), as the official code does; the initial update is not zero.
            "zero" sets B to zero; the initial update is zero.
        target_modules, ...: see `LinearTunerConfig`.
    """

    tuner_type = "DCFT"

    kernel_size: int = 8
    stride: int | None = None
    rank: int = 1
    scaling: float = 16.0
    init: Literal["normal", "zero"] = "normal"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stride is None:
            self.stride = self.kernel_size
        self.require_positive("kernel_size", "stride", "rank")
        if self.stride > self.kernel_size:
            raise ValueError(
                f"stride={self.stride} is larger than kernel_size={self.kernel_size}: parts of the weight would get "
                f"no update (paper, section 4.5); give a stride of at most {self.kernel_size}"
            )
        if not self.scaling:
            raise ValueError("scaling=0: the update would be zero and stay so; give another number")
        if self.init not in ("normal", "zero"):
            raise ValueError(f'init={self.init!r}: give "normal" or "zero"')


class DcftLayer(FactoredLayer):
    """A frozen linear layer plus its deconvolved update, `y = W x + scaling * left (right x)`.

    Parameters per adapter: `dcft_A` (k x a), `dcft_B` (b x k), `dcft_C` (d x d); see `dcft.tuners.deconvolution`.
    """

    adapter_layer_names = ("dcft_A", "dcft_B", "dcft_C")
    other_param_names = ("stride", "scaling")

    dcft_A: nn.ParameterDict
    dcft_B: nn.ParameterDict
    dcft_C: nn.ParameterDict
    stride: dict[str, int]
    scaling: dict[str, float]

    def __init__(self, base_layer: nn.Module, adapter_name: str) -> None:
        super().__init__(base_layer, adapter_name)
        self.ready_factors: dict[str, tuple[Tensor, Tensor]] = {}  # by adapter, during a forward pass of the model

    def create_parameters(self, config: DcftConfig, module_name: str) -> dict[str, Tensor]:
        """A, B and C from N(0, 0.02^2); `init="zero"` sets B to zero.

        Raises:
            ValueError: if kernel and stride do not fit this layer; names the module and the kernels that fit.
        """
        d, s, k = config.kernel_size, cast(int, config.stride), config.rank
        sizes = (self.in_features, self.out_features)
        if not all(fits(size, d, s) for size in sizes):
            kernels = ", ".join(map(str, fitting_kernels(*sizes)))
            raise ValueError(
                f"kernel_size={d} with stride={s} does not fit {module_name} ({sizes[0]} -> {sizes[1]}): size minus "
                f"kernel must be a multiple of the stride; with stride = kernel these kernels fit: {kernels}"
            )
        shapes = {"dcft_A": (k, subspace_size(sizes[0], d, s)), "dcft_B": (subspace_size(sizes[1], d, s), k)}
        tensors = {name: torch.empty(shape) for name, shape in (shapes | {"dcft_C": (d, d)}).items()}
        for tensor in tensors.values():
            nn.init.normal_(tensor, std=OFFICIAL_INIT_STD)
        if config.init == "zero":
            nn.init.zeros_(tensors["dcft_B"])
        return tensors

    def _tensors(self, adapter_name: str) -> tuple[Tensor, Tensor, Tensor, int]:
        return (
            self.dcft_A[adapter_name],
            self.dcft_B[adapter_name],
            self.dcft_C[adapter_name],
            self.stride[adapter_name],
        )

    def get_factors(self, adapter_name: str) -> tuple[Tensor, Tensor]:
        """The update as a LoRA pair of rank k*d, scaling included: `left (out x k*d) @ right (k*d x in)`, exact."""
        if adapter_name in self.ready_factors:
            return self.ready_factors[adapter_name]
        return _factors(*self._tensors(adapter_name), self.scaling[adapter_name])


def _factors(A: Tensor, B: Tensor, C: Tensor, stride: int, scaling: float) -> tuple[Tensor, Tensor]:
    # Under autocast the small products would be rounded to bfloat16 before the large ones are.
    with torch.autocast(C.device.type, enabled=False):
        return factors(A, B, C * scaling, stride)


class DcftModel(LinearTunerModel):
    """Puts a `DcftLayer` around every linear layer that the config targets."""

    prefix = "dcft_"
    tuner_layer_cls = DcftLayer
    _layers: list[DcftLayer] | None = None  # a cache, because searching all modules in each step is slow
    _blocks: list[nn.Module]  # those that Transformers can checkpoint; found together with the layers

    def _create_and_replace(self, *args: Any, **kwargs: Any) -> None:
        super()._create_and_replace(*args, **kwargs)
        self._layers = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's forward pass; before it, the factors of all layers are built together.

        A checkpointed block is computed again in the backward pass, when ready factors are gone. So its layers build
        their own, both times.
        """
        if self._layers is None:
            self._layers = [module for module in self.modules() if isinstance(module, DcftLayer)]
            self._blocks = [module for module in self.modules() if hasattr(module, "gradient_checkpointing")]
        if not (self.training and any(block.gradient_checkpointing for block in self._blocks)):
            _build_factors(self._layers)
        try:
            return super().forward(*args, **kwargs)
        finally:
            for layer in self._layers:
                layer.ready_factors = {}


def _build_factors(layers: list[DcftLayer]) -> None:
    """Build the factors of all layers of one size by one batched product, instead of one small product per layer.

    A step has about a hundred small products, and launching one takes more time than computing it.
    """
    same_size = defaultdict(list)
    for layer in layers:
        for name in layer.acting_adapters:
            A, B, C, stride = layer._tensors(name)
            tensors = A, B, C
            if not any(isinstance(tensor, DTensor) for tensor in tensors):  # with FSDP each layer builds its own
                key = tuple(tensor.shape for tensor in tensors), stride, layer.scaling[name]
                same_size[key].append((layer, name, tensors))
    for (_, stride, scaling), entries in same_size.items():
        A, B, C = (torch.stack(tensors) for tensors in zip(*(tensors for _, _, tensors in entries), strict=True))
        lefts, rights = _factors(A, B, C, stride, scaling)
        for (layer, name, _), left, right in zip(entries, lefts.unbind(), rights.unbind(), strict=True):
            layer.ready_factors[name] = left, right


def orthogonality_loss(
    model: nn.Module | Iterable[nn.Module], form: Literal["code", "paper"] = "code", adapter_name: str = "default"
) -> Tensor:
    """The penalty that keeps the subspace matrices orthogonal; the trainer adds it to the loss, times a coefficient.

    "paper" (eq. 4): `||A^T A - I||_F^2 + ||B B^T - I||_F^2`, mean over the adapted layers. The identities are n x n
    while A^T A has rank k, so the penalty cannot fall below `n - k`; with `||A^T A - I_n||_F^2 = ||A A^T - I_k||_F^2 +
    n - k` no n x n matrix is needed.

    "code" (the official code): the mean over all A and B of `||A A^T - I_k||_F` and `||B^T B - I_k||_F`, not squared.

    Args:
        model: any model with DCFT layers; or the layers, found once (`model.modules()`), which is faster in each step.
        form: "code" or "paper".
        adapter_name: the adapter. Only its A and B are penalised, never its kernels C.

    Returns:
        A scalar in the dtype of the adapters.

    Raises:
        ValueError: if the form is unknown, or the model has no DCFT adapter of this name.
    """
    if form not in ("code", "paper"):
        raise ValueError(f'form={form!r}: give "code" or "paper"')
    same_shape = defaultdict(list)  # one batched product a shape instead of one a matrix
    for module in model.modules() if isinstance(model, nn.Module) else model:
        if isinstance(module, DcftLayer) and adapter_name in module.dcft_A:
            for rows in (_whole(module.dcft_A[adapter_name]), _whole(module.dcft_B[adapter_name]).T):
                same_shape[rows.shape].append(rows)
    if not same_shape:
        raise ValueError(f"the model has no DCFT adapter named {adapter_name!r}")
    penalties = []
    for (k, n), matrices in same_shape.items():
        stacked = torch.stack(matrices)
        with torch.autocast(stacked.device.type, enabled=False):
            gram = stacked @ stacked.mT
        norms = torch.linalg.matrix_norm(gram - torch.eye(k, dtype=gram.dtype, device=gram.device))
        # Eq. 4 has one A and one B term a layer: twice the mean over all matrices.
        penalties.append(norms if form == "code" else 2 * (norms**2 + n - k))
    return torch.cat(penalties).mean()


def _whole(tensor: Tensor) -> Tensor:
    """The whole parameter. With FSDP a process holds only a shard of it outside of the forward pass."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


register(DcftConfig, DcftModel)
