"""The backbones' architectures with random weights: the speed of a step does not depend on the weights."""

import copy
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from bench.step.shapes import SHAPES
from dcft.config.conf import CONF

LABELS = 2
# Settings of config.json on the Hub that a shape does not have, where they differ from Transformers' defaults.
_DEBERTA = {
    "model_type": "deberta-v2",
    "relative_attention": True,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "deberta-v3-base": _DEBERTA,
    "deberta-v2-xxlarge": _DEBERTA | {"conv_kernel_size": 3, "conv_act": "gelu"},
    "roberta-large": {"model_type": "roberta", "layer_norm_eps": 1e-5},
    "minilm-l6": {"model_type": "bert"},
}


def architecture(model: str) -> dict[str, Any]:
    """Arguments of `AutoConfig.for_model`.

    Args:
        model: a name of `SETTINGS`, or a tiny model of conf/model.
    """
    if model not in SETTINGS:
        random = OmegaConf.to_container(OmegaConf.load(CONF / "model" / f"{model}.yaml").random)
        return random | {"vocab_size": 1000}
    shape = SHAPES[model]
    sizes = {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "type_vocab_size": shape.token_types,
    }
    positions = {"max_position_embeddings": shape.positions} if shape.positions else {}  # DeBERTa's are relative
    return sizes | positions | SETTINGS[model]


def build(model: str, layers: int | None = None) -> PreTrainedModel:
    """A backbone with a classification head, float32, random weights, dropout as in its configuration.

    Args:
        model: as in `architecture`.
        layers: number of its layers; None: all.
    """
    settings = architecture(model)
    layers = layers or settings["num_hidden_layers"]
    config = AutoConfig.for_model(**settings | {"num_hidden_layers": layers, "num_labels": LABELS})
    return AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)


def share(model: PreTrainedModel, head: list[str]) -> PreTrainedModel:
    """A copy with a head of its own, whose backbone weights lie in the same memory.

    The parameters are separate objects: freezing or merging one copy does not change the others.

    Args:
        model: the model to copy.
        head: names of the modules that make up the head.
    """
    memo = {
        id(parameter): nn.Parameter(parameter.detach(), requires_grad=False)
        for name, parameter in model.named_parameters()
        if set(name.split(".")).isdisjoint(head)
    }
    return copy.deepcopy(model, memo)
