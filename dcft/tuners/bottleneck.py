"""Bottleneck adapters as a PEFT tuner: `h + up(f(down(h)))` on the output h of a linear layer.

Houlsby et al., 2019, put one after the attention's and one after the feed-forward network's output projection of each
layer; Pfeiffer et al., 2021, only the latter. `target_modules` of the config sets the place.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import ACT2FN

from dcft.tuners.base import LinearTunerConfig, LinearTunerLayer, LinearTunerModel, register

INIT_STD = 0.01  # Houlsby et al., section 3: normal, truncated at two standard deviations; near the identity


@dataclass
class BottleneckConfig(LinearTunerConfig):
    """PEFT's configuration of bottleneck adapters behind linear layers.

    Args:
        bottleneck_size: width of the bottleneck.
        non_linearity: name of the activation in transformers ("gelu", "relu", ...).
        target_modules, ...: the linear layers whose output is adapted; see `LinearTunerConfig`.
    """

    tuner_type = "BOTTLENECK"

    bottleneck_size: int = 8
    non_linearity: str = "gelu"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("bottleneck_size")
        if self.non_linearity not in ACT2FN:
            raise ValueError(f'non_linearity={self.non_linearity!r}: transformers has no such activation; give "gelu"')


class BottleneckLayer(LinearTunerLayer):
    """A frozen linear layer with a bottleneck behind it.

    Parameters per adapter, for an output of width n and a bottleneck of width m: `bottleneck_down` (m x n),
    `bottleneck_down_bias` (m), `bottleneck_up` (n x m), `bottleneck_up_bias` (n).
    """

    adapter_layer_names = ("bottleneck_down", "bottleneck_down_bias", "bottleneck_up", "bottleneck_up_bias")
    other_param_names = ("non_linearity",)

    bottleneck_down: nn.ParameterDict
    bottleneck_down_bias: nn.ParameterDict
    bottleneck_up: nn.ParameterDict
    bottleneck_up_bias: nn.ParameterDict
    non_linearity: dict[str, str]

    def create_parameters(self, config: BottleneckConfig, module_name: str) -> dict[str, Tensor]:
        """Weights from a truncated normal distribution, biases zero."""
        m, n = config.bottleneck_size, self.out_features
        down, up = torch.empty(m, n), torch.empty(n, m)
        for weight in (down, up):
            nn.init.trunc_normal_(weight, std=INIT_STD, a=-2 * INIT_STD, b=2 * INIT_STD)
        return {
            "bottleneck_down": down,
            "bottleneck_down_bias": torch.zeros(m),
            "bottleneck_up": up,
            "bottleneck_up_bias": torch.zeros(n),
        }

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        raise ValueError("a bottleneck adapter cannot be merged: it is not linear; use the model with its adapter")

    def unmerge(self) -> None:
        """Does nothing, because a bottleneck adapter is never merged."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        result = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters:
            return result
        for name in self.active_adapters:
            if not self.has(name):
                continue
            h = self._cast_input_dtype(result, self.bottleneck_down[name].dtype)
            h = F.linear(h, self.bottleneck_down[name], self.bottleneck_down_bias[name])
            h = F.linear(ACT2FN[self.non_linearity[name]](h), self.bottleneck_up[name], self.bottleneck_up_bias[name])
            result = result + h.to(result.dtype)
        return result


class BottleneckModel(LinearTunerModel):
    """Puts a `BottleneckLayer` around every linear layer that the config targets."""

    prefix = "bottleneck_"
    tuner_layer_cls = BottleneckLayer


register(BottleneckConfig, BottleneckModel)
