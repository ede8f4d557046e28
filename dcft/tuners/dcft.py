"""DCFT as a PEFT tuner: `get_peft_model(model, DcftConfig(...))`, saved, loaded, merged and converted by PEFT.

Paper: "Parameter-Efficient Fine-Tuning of Large Language Models via Deconvolution in Subspace", section 3 and
algorithm 1. The algebra is in `dcft.deconvolution`; the forward pass applies the two exact factors of the update and
never builds the update itself.
"""

import enum
import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from peft import PeftConfig
from peft.mapping import (
    PEFT_TYPE_TO_CONFIG_MAPPING,
    PEFT_TYPE_TO_PREFIX_MAPPING,
    PEFT_TYPE_TO_TUNER_MAPPING,
)
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer, check_adapters_to_merge
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import Tensor, nn

from dcft.deconvolution import delta_weight, factors, fits, fitting_kernels, subspace_size

OFFICIAL_INIT_STD = 0.02  # official code: A, B and C are drawn from N(0, 0.02^2); the paper says "randomly"


class DcftPeftType(str, enum.Enum):
    """PEFT's enum of methods cannot be extended; this one hashes and compares like the string "DCFT"."""

    DCFT = "DCFT"


@dataclass
class DcftConfig(PeftConfig):
    """What PEFT needs to know to adapt linear layers by DCFT.

    Args:
        kernel_size: d, the side of the deconvolution kernel C.
        stride: s, the step of the deconvolution; the kernel size if None, as in the paper (section 3.2.2).
        rank: k, the rank of the matrix that is deconvolved (the paper uses 1).
        scaling: factor on the update. The paper has none; the official code uses alpha / r (32 / 2 for RTE).
        init: "normal" draws A, B and C from N(0, 0.02^2), as the official code does, so the update is not zero at the
            start; "zero" sets B to zero, so it is.
        target_modules: names (suffixes) of the linear layers to adapt, or a regular expression.
        exclude_modules, layers_to_transform, layers_pattern, modules_to_save: as in every PEFT config.
    """

    kernel_size: int = 8
    stride: int | None = None
    rank: int = 1
    scaling: float = 16.0
    init: Literal["normal", "zero"] = "normal"
    target_modules: list[str] | str | None = None
    exclude_modules: list[str] | str | None = None
    layers_to_transform: list[int] | int | None = None
    layers_pattern: list[str] | str | None = None
    modules_to_save: list[str] | None = field(default=None)

    def __post_init__(self):
        super().__post_init__()
        self.peft_type = DcftPeftType.DCFT
        if self.stride is None:
            self.stride = self.kernel_size
        for name in ("kernel_size", "stride", "rank"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give a whole number of at least 1")
        if self.stride > self.kernel_size:
            raise ValueError(
                f"stride={self.stride} is larger than kernel_size={self.kernel_size}: parts of the weight would get "
                f"no update (paper, section 4.5); give a stride of at most {self.kernel_size}"
            )
        if self.init not in ("normal", "zero"):
            raise ValueError(f'init={self.init!r}: give "normal" or "zero"')
        # PEFT compares target names as a set (the order means nothing) and writes it to adapter_config.json as a list.
        if isinstance(self.target_modules, list):
            self.target_modules = set(self.target_modules)
        if isinstance(self.exclude_modules, list):
            self.exclude_modules = set(self.exclude_modules)


class DcftLayer(nn.Module, BaseTunerLayer):
    """A frozen linear layer plus its deconvolved update, `y = W x + scaling * left (right x)`.

    Parameters per adapter: `dcft_A` (k x a), `dcft_B` (b x k), `dcft_C` (d x d); see `dcft.deconvolution`.
    """

    adapter_layer_names = ("dcft_A", "dcft_B", "dcft_C")
    other_param_names = ("stride", "scaling")

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: DcftConfig, module_name: str) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.dcft_A = nn.ParameterDict()
        self.dcft_B = nn.ParameterDict()
        self.dcft_C = nn.ParameterDict()
        self.stride: dict[str, int] = {}
        self.scaling: dict[str, float] = {}
        self.merged_adapters: list[str] = []
        self._unmerged_weight: Tensor | None = None
        self._active_adapter = adapter_name
        linear = self.get_base_layer()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.update_layer(adapter_name, config, module_name)

    def update_layer(self, adapter_name: str, config: DcftConfig, module_name: str) -> None:
        """Add the parameters of one adapter.

        Raises:
            ValueError: if kernel and stride do not fit this layer; names the module and the kernels that would.
        """
        d, s, k = config.kernel_size, config.stride, config.rank
        sizes = (self.in_features, self.out_features)
        if not all(fits(size, d, s) for size in sizes):
            kernels = ", ".join(map(str, fitting_kernels(*sizes)))
            raise ValueError(
                f"kernel_size={d} with stride={s} does not fit {module_name} ({sizes[0]} -> {sizes[1]}): size minus "
                f"kernel must be a multiple of the stride; with stride = kernel these kernels fit: {kernels}"
            )
        like = {"dtype": torch.float32, "device": self.get_base_layer().weight.device}
        self.dcft_A[adapter_name] = nn.Parameter(torch.empty(k, subspace_size(sizes[0], d, s), **like))
        self.dcft_B[adapter_name] = nn.Parameter(torch.empty(subspace_size(sizes[1], d, s), k, **like))
        self.dcft_C[adapter_name] = nn.Parameter(torch.empty(d, d, **like))
        self.stride[adapter_name] = s
        self.scaling[adapter_name] = config.scaling
        self.reset_parameters(adapter_name, config.init)
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def reset_parameters(self, adapter_name: str, init: str) -> None:
        """Draw A, B and C from N(0, 0.02^2); `init="zero"` then sets B to zero."""
        for tensors in (self.dcft_A, self.dcft_B, self.dcft_C):
            nn.init.normal_(tensors[adapter_name], std=OFFICIAL_INIT_STD)
        if init == "zero":
            nn.init.zeros_(self.dcft_B[adapter_name])

    def _tensors(self, adapter_name: str) -> tuple[Tensor, Tensor, Tensor, int]:
        return (
            self.dcft_A[adapter_name],
            self.dcft_B[adapter_name],
            self.dcft_C[adapter_name],
            self.stride[adapter_name],
        )

    def get_factors(self, adapter_name: str) -> tuple[Tensor, Tensor]:
        """The update as a LoRA pair of rank k*d, scaling included: `left (out x k*d) @ right (k*d x in)`, exact."""
        # Under autocast the small products would be rounded to bfloat16 before the large ones are.
        with torch.autocast(self.dcft_C[adapter_name].device.type, enabled=False):
            left, right = factors(*self._tensors(adapter_name))
            return left * self.scaling[adapter_name], right

    def get_delta_weight(self, adapter_name: str) -> Tensor:
        """The dense update (`out x in`, scaling included) by transposed convolution; used to merge and to convert."""
        return delta_weight(*self._tensors(adapter_name)) * self.scaling[adapter_name]

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Add the updates of the active (or named) adapters to the weight; the weight as it was is kept for unmerge."""
        base_layer = self.get_base_layer()
        for adapter_name in check_adapters_to_merge(self, adapter_names):
            if adapter_name not in self.dcft_A:
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

    def forward(self, x: Tensor, *args, **kwargs) -> Tensor:
        if self.disable_adapters and self.merged:
            self.unmerge()
        result = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return result
        for adapter_name in self.active_adapters:
            if adapter_name not in self.dcft_A:
                continue
            left, right = self.get_factors(adapter_name)
            update = F.linear(F.linear(self._cast_input_dtype(x, right.dtype), right), left)
            result = result + update.to(result.dtype)
        return result

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:
        return True

    def __repr__(self) -> str:
        return "dcft." + super().__repr__()


class DcftModel(BaseTuner):
    """Puts a `DcftLayer` around every linear layer that the config targets."""

    prefix = "dcft_"
    tuner_layer_cls = DcftLayer
    target_module_mapping: dict[str, list[str]] = {}  # no guess: the paper adapts all six matrices, others differ

    def _create_and_replace(self, peft_config, adapter_name, target, target_name, parent, current_key) -> None:
        if isinstance(target, DcftLayer):
            target.update_layer(adapter_name, peft_config, current_key)
            return
        linear = target.get_base_layer() if isinstance(target, BaseTunerLayer) else target
        if not isinstance(linear, nn.Linear):
            raise TypeError(f"{current_key} is a {type(linear).__name__}: DCFT adapts torch.nn.Linear only")
        layer = DcftLayer(target, adapter_name, peft_config, current_key)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)  # an additional adapter is trainable only once it is set active
        self._replace_module(parent, target_name, layer, target)

    def _replace_module(self, parent, child_name, new_module, child) -> None:
        # Unloading also unwraps modules_to_save, and PEFT's version looks for a weight on them, which DeBERTa's pooler
        # does not have (huggingface/peft#3114).
        if isinstance(child, AuxiliaryTrainingWrapper):
            setattr(parent, child_name, new_module)
        else:
            super()._replace_module(parent, child_name, new_module, child)


def orthogonality_loss(
    model: nn.Module, form: Literal["code", "paper"] = "code", adapter_name: str = "default"
) -> Tensor:
    """The penalty that keeps the subspace matrices orthogonal; the trainer adds it to the loss, times a coefficient.

    "paper" (eq. 4): `||A^T A - I||_F^2 + ||B B^T - I||_F^2`, mean over the adapted layers. The identities are n x n
    while A^T A has rank k, so the penalty cannot fall below `n - k`; with `||A^T A - I_n||_F^2 = ||A A^T - I_k||_F^2 +
    n - k` no n x n matrix is needed.

    "code" (the official code): the mean over all A and B of `||A A^T - I_k||_F` and `||B^T B - I_k||_F`, not squared.

    Args:
        model: any model with DCFT layers.
        form: "code" or "paper".
        adapter_name: whose A and B; the kernels C are not penalised in either form.

    Returns:
        A scalar in the dtype of the adapters.

    Raises:
        ValueError: for another form, or a model without such an adapter.
    """
    if form not in ("code", "paper"):
        raise ValueError(f'form={form!r}: give "code" or "paper"')
    same_shape = defaultdict(list)  # one batched product a shape instead of one a matrix
    for module in model.modules():
        if isinstance(module, DcftLayer) and adapter_name in module.dcft_A:
            for rows in (module.dcft_A[adapter_name], module.dcft_B[adapter_name].T):
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


PEFT_TYPE_TO_CONFIG_MAPPING[DcftPeftType.DCFT] = DcftConfig
PEFT_TYPE_TO_TUNER_MAPPING[DcftPeftType.DCFT] = DcftModel
PEFT_TYPE_TO_PREFIX_MAPPING[DcftPeftType.DCFT] = DcftModel.prefix
