"""What a bottleneck adapter computes, where it starts, and where Houlsby and Pfeiffer put it."""

import re

import peft
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dcft import BottleneckConfig
from dcft.backbones import load
from dcft.training import methods
from dcft.tuners.bottleneck import BottleneckLayer
from tests.conftest import TINY_MODELS, configure


def adapted(**settings):
    torch.manual_seed(0)
    base = nn.Sequential(nn.Linear(6, 10))
    config = BottleneckConfig(**({"bottleneck_size": 3, "target_modules": ["0"]} | settings))
    return peft.get_peft_model(base, config).double().base_model.model[0]


@pytest.mark.parametrize(("name", "function"), [("gelu", F.gelu), ("relu", F.relu)])
def test_the_output_is_its_formula(name, function):
    layer = adapted(non_linearity=name)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    down, down_bias, up, up_bias = (
        getattr(layer, f"bottleneck_{part}")["default"] for part in ("down", "down_bias", "up", "up_bias")
    )
    x = torch.randn(4, 6, dtype=torch.float64)
    h = layer.base_layer(x)
    expected = h + function(h @ down.T + down_bias) @ up.T + up_bias
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


def test_it_starts_near_the_identity_and_not_at_it():
    layer = adapted()
    x = torch.randn(100, 6, dtype=torch.float64)
    change = (layer(x) - layer.base_layer(x)).abs().max()
    assert 0 < change < 1e-2
    assert layer.bottleneck_up["default"].abs().max() <= 0.02


@pytest.mark.parametrize("model", TINY_MODELS)
@pytest.mark.parametrize(
    ("method", "places"),
    [("hadapter", {"attention.output.dense", "output.dense"}), ("padapter", {"output.dense"})],
)
def test_houlsby_puts_two_in_a_layer_and_pfeiffer_one(model, method, places):
    config = configure("task=toy_cls", f"model={model}", f"method={method}")
    prepared = methods.prepare(load.load_backbone(config).model, config)
    names = [name for name, module in prepared.model.named_modules() if isinstance(module, BottleneckLayer)]
    found = [re.fullmatch(r".*encoder\.layer\.(\d+)\.(.+)", name).groups() for name in names]
    assert {place for _, place in found} == places
    assert len(found) == len(places) * prepared.model.config.num_hidden_layers


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bottleneck_size": 0}, "bottleneck_size=0"),
        ({"non_linearity": "glu8"}, "non_linearity='glu8': transformers has"),
    ],
)
def test_impossible_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        BottleneckConfig(**settings)
