"""Lean attention of BERT and RoBERTa is transformers' attention, adapted or not."""

import copy
import inspect

import peft
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification
from transformers.models.bert.modeling_bert import BertSelfAttention
from transformers.models.roberta.modeling_roberta import RobertaSelfAttention

from dcft import DcftConfig
from dcft.backbones import dropout, lean_attention, lean_bert
from tests.backbones.test_lean_attention import batch, gradients

TARGETS = ["query", "key", "value"]
ADAPTERS = {
    "none": None,
    "dcft": DcftConfig(kernel_size=4, target_modules=TARGETS),
    "dcft on two": DcftConfig(kernel_size=4, target_modules=["query", "value"]),
    "lora": peft.LoraConfig(r=2, init_lora_weights=False, target_modules=TARGETS),
}


def classifier(kind, adapter=None, probability=0.0, attention="sdpa"):
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        kind,
        vocab_size=100,
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=3,
        max_position_embeddings=70,
        hidden_dropout_prob=probability,
        attention_probs_dropout_prob=probability,
        initializer_range=0.5,
        attn_implementation=attention,
    )
    model = AutoModelForSequenceClassification.from_config(config)
    if adapter is not None:
        model = peft.get_peft_model(model, copy.deepcopy(adapter))
        for name, parameter in model.named_parameters():
            if "dcft_" in name:
                torch.nn.init.normal_(parameter, std=0.5)
    return model.double().train()


def lean(model):
    twin = copy.deepcopy(model)
    lean_attention.use(twin, "lean")
    return twin


@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS)
@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_logits_and_gradients_are_those_of_transformers(kind, adapter):
    plain = classifier(kind, adapter)
    twin = lean(plain)
    assert sum(type(module) in lean_bert.CLASSES for module in twin.modules()) == 2
    for length in (1, 9, 64):
        logits, grads = gradients(plain, batch(length))
        own_logits, own_grads = gradients(twin, batch(length))
        torch.testing.assert_close(own_logits, logits, rtol=0, atol=1e-13)
        assert own_grads.keys() == grads.keys()
        for name, grad in grads.items():
            torch.testing.assert_close(own_grads[name], grad, rtol=1e-9, atol=1e-12, msg=f"{name} at {length}")


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_dropout_draws_the_numbers_that_transformers_draws(attention):
    """Only projections differ, so `attention` changes no result beyond rounding."""
    plain = classifier("bert", probability=0.3, attention=attention)
    losses = []
    for model in (plain, lean(plain)):
        torch.manual_seed(1)
        losses.append(model(**batch(20)).loss)
    torch.testing.assert_close(losses[1], losses[0], rtol=0, atol=1e-13)


def test_query_key_and_value_are_projected_together(monkeypatch):
    """One call for the three layers: without it the adapter costs three products more."""
    calls = []
    project = lean_bert.project
    monkeypatch.setattr(lean_bert, "project", lambda x, *layers: calls.append(len(layers)) or project(x, *layers))
    lean(classifier("roberta", ADAPTERS["dcft"]))(**batch(9))
    assert calls == [3, 3]


def test_attention_maps_are_those_of_transformers():
    plain = classifier("bert", attention="eager")
    maps = plain(**batch(12), output_attentions=True).attentions
    for theirs, ours in zip(maps, lean(plain)(**batch(12), output_attentions=True).attentions, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_it_can_be_switched_off_again():
    model = lean(classifier("roberta", ADAPTERS["dcft"]))
    dropout.use(model, "fast")
    dropout.use(model, "torch")
    lean_attention.use(model, "plain")
    kinds = {type(module) for module in model.modules()}
    assert RobertaSelfAttention in kinds
    assert kinds.isdisjoint({*lean_bert.CLASSES, dropout.FastDropout})
    assert model.config._attn_implementation == "sdpa"


def test_transformers_has_what_lean_attention_relies_on():
    """If this fails, transformers has changed: compare its modeling_bert with backbones/lean_bert.py."""
    for attention in (BertSelfAttention, RobertaSelfAttention):
        parameters = list(inspect.signature(attention.forward).parameters)
        assert parameters == ["self", "hidden_states", "attention_mask", "past_key_values", "kwargs"]
        source = inspect.getsource(attention.forward)
        assert "scaling=self.scaling" in source
        assert "dropout=0.0 if not self.training else self.dropout.p" in source
