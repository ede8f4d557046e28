"""Bottleneck adapters as a PEFT tuner: `h + up(f(down(x)))` in the output blocks of an encoder's layers.

An output block of transformers (`BertOutput`, `RobertaSelfOutput`, ...) computes `LayerNorm(h + residual)` from
`h = dropout(dense(input))`. An adapter acts between the two:

- Houlsby et al., 2019: x = h, in the block of the attention and in that of the feed-forward network;
- Pfeiffer et al., 2021: x = LayerNorm(h + residual), in that of the feed-forward network alone.

Both as in AdaLoRA's code (QingruZhang/AdaLoRA, modeling_deberta_v2.py) and in AdapterHub. `target_modules` of the
config sets the place, `layer_norm` the adapter's input.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import ACT2FN

from dcft.tuners.base import LinearTunerConfig, LinearTunerLayer, LinearTunerModel, register


@dataclass
class BottleneckConfig(LinearTunerConfig):
    """PEFT's configuration of bottleneck adapters in output blocks.

    Args:
        bottleneck_size: width of the bottleneck.
        non_linearity: name of the activation in transformers ("silu", "relu", ...).
        layer_norm: whether the adapter reads LayerNorm(h + residual), as Pfeiffer's does, instead of h.
        init_std: standard deviation of the normal distribution that weights are drawn from; biases start at zero.
        target_modules, ...: the output blocks that are adapted; see `LinearTunerConfig`. "attention.output" is the
            attention's in each layer, "output" both.
    """

    tuner_type = "BOTTLENECK"

    bottleneck_size: int = 8
    non_linearity: str = "silu"
    layer_norm: bool = False
    init_std: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("bottleneck_size")
        if self.non_linearity not in ACT2FN:
            raise ValueError(f'non_linearity={self.non_linearity!r}: transformers has no such activation; give "silu"')
        if self.init_std < 0:
            raise ValueError(f"init_std={self.init_std}: give a number of at least 0")


class BottleneckLayer(LinearTunerLayer):
    """A frozen output block with a bottleneck in it.

    Parameters per adapter, for an output of width n and a bottleneck of width m: `bottleneck_down` (m x n),
    `bottleneck_down_bias` (m), `bottleneck_up` (n x m), `bottleneck_up_bias` (n).
    """

    adapter_layer_names = ("bottleneck_down", "bottleneck_down_bias", "bottleneck_up", "bottleneck_up_bias")
    other_param_names = ("non_linearity", "layer_norm")
    adapts = "output blocks only (modules with dense, dropout and LayerNorm, like BertOutput)"

    bottleneck_down: nn.ParameterDict
    bottleneck_down_bias: nn.ParameterDict
    bottleneck_up: nn.ParameterDict
    bottleneck_up_bias: nn.ParameterDict
    non_linearity: dict[str, str]
    layer_norm: dict[str, bool]

    @staticmethod
    def fits(module: nn.Module) -> bool:
        return all(hasattr(module, name) for name in ("dense", "dropout", "LayerNorm"))

    @property
    def linear(self) -> Any:
        return self.get_base_layer().dense

    def create_parameters(self, config: BottleneckConfig, module_name: str) -> dict[str, Tensor]:
        """Weights from a normal distribution, biases zero."""
        m, n = config.bottleneck_size, self.out_features
        return {
            "bottleneck_down": config.init_std * torch.randn(m, n),
            "bottleneck_down_bias": torch.zeros(m),
            "bottleneck_up": config.init_std * torch.randn(n, m),
            "bottleneck_up_bias": torch.zeros(n),
        }

    def _move_adapter_to_device_of_base_layer(self, adapter_name: str, device: torch.device | None = None) -> None:
        super()._move_adapter_to_device_of_base_layer(adapter_name, device or self.linear.weight.device)

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        raise ValueError("a bottleneck adapter cannot be merged: it is not linear; use the model with its adapter")

    def unmerge(self) -> None:
        """Does nothing, because a bottleneck adapter is never merged."""

    def forward(self, hidden_states: Tensor, input_tensor: Tensor) -> Tensor:
        """As the block's own `forward`: the sublayer's output (`... x in`) and what is added to it (`... x out`)."""
        if self.disable_adapters:
            return self.base_layer(hidden_states, input_tensor)
        block: Any = self.get_base_layer()
        h = block.dropout(block.dense(hidden_states))
        for name in filter(self.has, self.active_adapters):
            x = block.LayerNorm(h + input_tensor) if self.layer_norm[name] else h
            x = self._cast_input_dtype(x, self.bottleneck_down[name].dtype)
            x = F.linear(x, self.bottleneck_down[name], self.bottleneck_down_bias[name])
            x = F.linear(ACT2FN[self.non_linearity[name]](x), self.bottleneck_up[name], self.bottleneck_up_bias[name])
            h = h + x.to(h.dtype)
        return block.LayerNorm(h + input_tensor)


class BottleneckModel(LinearTunerModel):
    """Puts a `BottleneckLayer` around every output block that the config targets."""

    prefix = "bottleneck_"
    tuner_layer_cls = BottleneckLayer


register(BottleneckConfig, BottleneckModel)
