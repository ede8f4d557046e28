"""What a bottleneck adapter computes, where it starts, and where Houlsby and Pfeiffer put it."""

import copy
import re
from functools import partial

import peft
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers.models.bert.modeling_bert import BertConfig, BertOutput

from dcft import BottleneckConfig
from dcft.backbones import load
from dcft.errors import UserError
from dcft.training import methods
from dcft.tuners.bottleneck import BottleneckLayer
from tests.conftest import TINY_MODELS, configure

PARTS = ("down", "down_bias", "up", "up_bias")
PLACES = {"hadapter": {"attention.output", "output"}, "padapter": {"output"}}
WITH_CONVOLUTION = ["+model.random.conv_kernel_size=3", "+model.random.conv_act=gelu"]  # as DeBERTaV2-xxlarge


def block(dropout=0.0, **settings):
    """One adapted output block, 6 -> 10, every parameter drawn anew."""
    torch.manual_seed(0)
    shape = BertConfig(hidden_size=10, intermediate_size=6, hidden_dropout_prob=dropout)
    config = BottleneckConfig(**({"bottleneck_size": 3, "target_modules": ["0"]} | settings))
    layer = peft.get_peft_model(nn.Sequential(BertOutput(shape)), config).double().base_model.model[0]
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def adapters(layer):
    return [getattr(layer, f"bottleneck_{part}")["default"] for part in PARTS]


def normalised(layer_norm, x):
    deviation = (x.var(-1, keepdim=True, unbiased=False) + layer_norm.eps).sqrt()
    return (x - x.mean(-1, keepdim=True)) / deviation * layer_norm.weight + layer_norm.bias


def by_hand(output_block, parameters, function, reads_norm, keep, x, residual):
    """Houlsby's or Pfeiffer's formula; `keep` multiplies what dropout would let through."""
    down, down_bias, up, up_bias = parameters
    h = (x @ output_block.dense.weight.T + output_block.dense.bias) * keep
    read = normalised(output_block.LayerNorm, h + residual) if reads_norm else h
    h = h + function(read @ down.T + down_bias) @ up.T + up_bias
    return normalised(output_block.LayerNorm, h + residual)


@pytest.mark.parametrize(("name", "function"), [("silu", lambda x: x * x.sigmoid()), ("relu", F.relu)])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_output_is_its_formula(name, function, layer_norm, dropout):
    layer = block(dropout, non_linearity=name, layer_norm=layer_norm).train()
    x, residual = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, 10, dtype=torch.float64)
    torch.manual_seed(1)
    keep = F.dropout(torch.ones(4, 10, dtype=torch.float64), dropout)
    torch.manual_seed(1)
    expected = by_hand(layer.base_layer, adapters(layer), function, layer_norm, keep, x, residual)
    torch.testing.assert_close(layer(x, residual), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("model", TINY_MODELS)
@pytest.mark.parametrize("method", PLACES)
def test_the_methods_are_those_of_adalora_s_code(method, model):
    """Logits and gradients of a backbone whose output blocks are written by hand: swish or ReLU, h or its LayerNorm."""
    config = configure("task=toy_cls", f"model={model}", f"method={method}")
    torch.manual_seed(0)
    bare = load.load_backbone(config).model.double().eval()
    model = methods.prepare(copy.deepcopy(bare), config).model.double().eval()
    function, reads_norm = {"hadapter": (lambda x: x * x.sigmoid(), False), "padapter": (F.relu, True)}[method]
    own = {}
    for name, module in model.base_model.model.named_modules():
        if isinstance(module, BottleneckLayer):
            own[name] = [nn.init.normal_(parameter, std=0.5) for parameter in adapters(module)]
            output_block = bare.get_submodule(name)
            output_block.forward = partial(by_hand, output_block, own[name], function, reads_norm, 1.0)
    inputs = {"input_ids": torch.randint(5, 500, (3, 17)), "labels": torch.tensor([0, 1, 0])}
    expected, found = bare(**inputs), model(**inputs)
    torch.testing.assert_close(found.logits, expected.logits, rtol=0, atol=1e-12)
    trained = [parameter for parameters in own.values() for parameter in parameters]
    grads = [torch.autograd.grad(output.loss, trained) for output in (found, expected)]
    assert max(grad.abs().max() for grad in grads[1]) > 1e-5
    for grad, by_formula in zip(*grads, strict=True):
        torch.testing.assert_close(grad, by_formula, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", PLACES)
def test_weights_start_as_the_backbone_s_and_biases_at_zero(method):
    config = configure("task=toy_cls", "model=tiny-bert", f"method={method}", "bottleneck=64")
    model = methods.prepare(load.load_backbone(config).model, config).model
    down, down_bias, up, up_bias = adapters(next(m for m in model.modules() if isinstance(m, BottleneckLayer)))
    for weight in (down, up):
        assert weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert not down_bias.any()
    assert not up_bias.any()


def test_the_start_is_a_setting():
    layer = peft.get_peft_model(nn.Sequential(BertOutput(BertConfig())), BottleneckConfig(target_modules=["0"]))
    wide = BottleneckConfig(target_modules=["0"], init_std=0.5)
    layer.add_adapter("wide", wide)
    std = {name: weight.std().item() for name, weight in layer.base_model.model[0].bottleneck_up.items()}
    assert std == {"default": pytest.approx(0.02, rel=0.1), "wide": pytest.approx(0.5, rel=0.1)}


@pytest.mark.parametrize("model", [[f"model={model}"] for model in TINY_MODELS] + [WITH_CONVOLUTION])
@pytest.mark.parametrize("task", ["toy_cls", "toy_qa"])
@pytest.mark.parametrize("method", PLACES)
def test_houlsby_puts_two_in_a_layer_and_pfeiffer_one(method, task, model):
    config = configure("model=tiny-deberta", f"task={task}", f"method={method}", *model)
    prepared = methods.prepare(load.load_backbone(config).model, config)
    names = [name for name, module in prepared.model.named_modules() if isinstance(module, BottleneckLayer)]
    found = [re.fullmatch(r".*encoder\.layer\.(\d+)\.(.+)", name).groups() for name in names]
    assert {place for _, place in found} == PLACES[method]
    assert len(found) == len(PLACES[method]) * prepared.model.config.num_hidden_layers


def test_what_is_no_output_block_is_refused():
    config = configure(
        "task=toy_cls", "model=tiny-bert", "method=padapter", "method.peft.target_modules=[output.dense]"
    )
    config.method.peft["exclude_modules"] = None
    with pytest.raises(
        UserError, match=r"dense is a Linear: BOTTLENECK adapts output blocks only \(modules with dense"
    ):
        methods.prepare(load.load_backbone(config).model, config)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bottleneck_size": 0}, "bottleneck_size=0"),
        ({"non_linearity": "glu8"}, "non_linearity='glu8': transformers has"),
        ({"init_std": -1.0}, "init_std=-1.0: give a number of at least 0"),
    ],
)
def test_impossible_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        BottleneckConfig(**settings)
