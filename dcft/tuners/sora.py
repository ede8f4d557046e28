"""SoRA as a PEFT tuner: a low-rank update whose ranks are gated, and gates that become exactly zero.

`y = W x + (alpha / r) B diag(g) A x`. Training adds an L1 penalty on the gates to the loss and soft-thresholds them
after each step of the optimiser (a proximal step), so that ranks are switched off.

Source: Ding et al., 2023, "Sparse low-rank adaptation of pre-trained language models", and its code (TsinghuaC3I/SoRA).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dcft.tuners.base import LinearTunerConfig, LinearTunerModel, register
from dcft.tuners.factored import FactoredLayer


@dataclass
class SoraConfig(LinearTunerConfig):
    """PEFT's configuration of SoRA for linear layers.

    Args:
        r: initial rank, `r_max` in the paper.
        lora_alpha: the update is scaled by `lora_alpha / r`.
        target_modules, ...: see `LinearTunerConfig`.
    """

    tuner_type = "SORA"

    r: int = 8
    lora_alpha: float = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("r")


class SoraLayer(FactoredLayer):
    """A frozen linear layer plus its gated update.

    Parameters per adapter: `sora_A` (r x in), `sora_B` (out x r), `sora_gate` (r).
    """

    adapter_layer_names = ("sora_A", "sora_B", "sora_gate")
    other_param_names = ("r", "lora_alpha")

    sora_A: nn.ParameterDict
    sora_B: nn.ParameterDict
    sora_gate: nn.ParameterDict
    r: dict[str, int]
    lora_alpha: dict[str, float]

    def create_parameters(self, config: SoraConfig, module_name: str) -> dict[str, Tensor]:
        """A as in LoRA, B zero, gates from N(0, 1) (the authors' code)."""
        A = torch.empty(config.r, self.in_features)
        nn.init.kaiming_uniform_(A, a=math.sqrt(5))
        return {"sora_A": A, "sora_B": torch.zeros(self.out_features, config.r), "sora_gate": torch.randn(config.r)}

    def get_factors(self, adapter_name: str) -> tuple[Tensor, Tensor]:
        """`(alpha / r) B` and `diag(g) A`."""
        scaling = self.lora_alpha[adapter_name] / self.r[adapter_name]
        return scaling * self.sora_B[adapter_name], self.sora_gate[adapter_name][:, None] * self.sora_A[adapter_name]


class SoraModel(LinearTunerModel):
    """Puts a `SoraLayer` around every linear layer that the config targets."""

    prefix = "sora_"
    tuner_layer_cls = SoraLayer


def gates(model: nn.Module, adapter_name: str = "default") -> list[Tensor]:
    """The gate vectors (r) of an adapter, one per adapted layer."""
    return [layer.sora_gate[adapter_name] for layer in _layers(model, adapter_name)]


def gate_penalty(model: nn.Module, adapter_name: str = "default") -> Tensor:
    """Mean absolute value of all gates, a scalar. The trainer adds it to the loss, times lambda."""
    return torch.cat(gates(model, adapter_name)).abs().mean()


def kept_parameters(model: nn.Module, adapter_name: str = "default") -> int:
    """Number of the adapter's parameters that belong to ranks with an open gate: in + out + 1 for each rank."""
    return sum(
        int((layer.sora_gate[adapter_name] != 0).sum()) * (layer.in_features + layer.out_features + 1)
        for layer in _layers(model, adapter_name)
    )


def _layers(model: nn.Module, adapter_name: str) -> list[SoraLayer]:
    return [module for module in model.modules() if isinstance(module, SoraLayer) and module.has(adapter_name)]


register(SoraConfig, SoraModel)
