"""Lean attention is transformers' attention: same scores, same gradients, whatever the architecture's options."""

import copy
import inspect

import peft
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification
from transformers.models.deberta_v2.modeling_deberta_v2 import DebertaV2Encoder, DisentangledSelfAttention

from dcft import DcftConfig
from dcft.backbones import lean_attention

OPTIONS = {
    "DeBERTaV3": {},
    "DeBERTaV2-xxlarge": {"conv_kernel_size": 3, "conv_act": "gelu"},
    "own projections": {"share_att_key": False},
    "keys only": {"pos_att_type": ["c2p"]},
    "queries only": {"pos_att_type": ["p2c"]},
    "content only": {"pos_att_type": []},
    "no buckets": {"position_buckets": -1},
    "absolute positions": {"relative_attention": False, "position_biased_input": True},
}


def classifier(dtype=torch.float64, dropout=0.0, **options):
    settings = {
        "vocab_size": 100,
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "max_position_embeddings": 64,
        "relative_attention": True,
        "position_buckets": 16,
        "position_biased_input": False,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "type_vocab_size": 0,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "initializer_range": 0.5,  # else positions hardly matter
    }
    torch.manual_seed(0)
    config = AutoConfig.for_model("deberta-v2", **settings | options)
    return AutoModelForSequenceClassification.from_config(config).to(dtype)


def batch(length, rows=3, device="cpu"):
    generator = torch.Generator().manual_seed(length)
    mask = torch.ones(rows, length, dtype=torch.long)
    mask[1, length // 2 + 1 :] = 0
    ids = torch.randint(5, 100, (rows, length), generator=generator)
    inputs = {"input_ids": ids, "attention_mask": mask, "labels": torch.arange(rows) % 2}
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def lean(model):
    twin = copy.deepcopy(model)
    lean_attention.use(twin, "lean")
    return twin


def gradients(model, inputs):
    model.zero_grad()
    outputs = model(**inputs)
    outputs.loss.backward()
    return outputs.logits, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_logits_and_gradients_are_those_of_transformers(options, any_device):
    plain = classifier(**options).to(any_device)
    twin = lean(plain)
    for length in (1, 2, 8, 9, 17, 40, 64):  # within the exact buckets, the logarithmic ones, and all of them
        inputs = batch(length, device=any_device)
        logits, grads = gradients(plain, inputs)
        own_logits, own_grads = gradients(twin, inputs)
        torch.testing.assert_close(own_logits, logits, rtol=0, atol=1e-13)
        assert own_grads.keys() == grads.keys()
        for name, grad in grads.items():
            torch.testing.assert_close(own_grads[name], grad, rtol=1e-9, atol=1e-12, msg=f"{name} at {length}")


def test_positions_matter_in_these_tests():
    model = lean(classifier())
    inputs = batch(17)
    before = model(**inputs).logits
    model.deberta.encoder.rel_embeddings.weight.data[17] *= -1.0  # of the next token
    assert (model(**inputs).logits - before).abs().max() > 1e-3


def test_adapters_on_the_projections_act_on_positions_too():
    model = peft.get_peft_model(classifier(), DcftConfig(kernel_size=4, target_modules=["query_proj", "key_proj"]))
    model = model.double()
    for name, parameter in model.named_parameters():
        if "dcft_" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    logits, grads = gradients(model, batch(20))
    own_logits, own_grads = gradients(lean(model), batch(20))
    torch.testing.assert_close(own_logits, logits, rtol=0, atol=1e-12)
    assert any("dcft_A" in name for name in grads)
    for name, grad in grads.items():
        torch.testing.assert_close(own_grads[name], grad, rtol=1e-9, atol=1e-12)


def test_attention_maps_are_those_of_transformers():
    plain = classifier()
    maps = plain(**batch(12), output_attentions=True).attentions
    own = lean(plain)(**batch(12), output_attentions=True).attentions
    assert len(own) == len(maps) == 2
    for theirs, ours in zip(maps, own, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_it_can_be_switched_off_again():
    model = lean(classifier())
    kinds = {type(module) for module in model.modules()}
    assert {lean_attention.LeanEncoder, lean_attention.LeanSelfAttention} <= kinds
    lean_attention.use(model, "plain")
    kinds = {type(module) for module in model.modules()}
    assert {DebertaV2Encoder, DisentangledSelfAttention} <= kinds
    assert not {lean_attention.LeanEncoder, lean_attention.LeanSelfAttention} & kinds


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match='attention=fat: give "plain" or "lean"'):
        lean_attention.use(classifier(), "fat")


def test_positions_are_projected_once_an_evaluation():
    model = lean(classifier()).eval()
    calls = []
    projection = model.deberta.encoder.layer[0].attention.self.key_proj
    projection.register_forward_hook(lambda module, inputs, output: calls.append(inputs[0].shape[1]))
    with torch.no_grad():
        free = [model(**batch(length)).logits for length in (9, 12, 9)]
        calls.clear()
        with lean_attention.constant_weights(model):
            bound = [model(**batch(length)).logits for length in (9, 12, 9)]
            assert calls == [9, 2 * 8 + 1, 12, 2 * 10 + 1, 9]  # bucket 10 holds distance 11
        for ours, theirs in zip(bound, free, strict=True):
            assert torch.equal(ours, theirs)
        calls.clear()
        projection.weight.data.mul_(2.0)
        assert not torch.equal(model(**batch(9)).logits, free[0])
        assert len(calls) == 2, "positions of the last evaluation were used"


def test_dropout_drops_positions_and_scores():
    model = lean(classifier(dropout=0.5)).train()
    logits = [model(**batch(9)).logits for _ in range(2)]
    assert not torch.equal(*logits)
    torch.manual_seed(1)
    first = model(**batch(9)).logits
    torch.manual_seed(1)
    assert torch.equal(model(**batch(9)).logits, first)


def test_transformers_has_what_lean_attention_relies_on():
    """If this fails, transformers has changed: compare its modeling_deberta_v2 with backbones/lean_attention.py."""
    forward = inspect.signature(DisentangledSelfAttention.forward)
    names = ["self", "hidden_states", "attention_mask", "output_attentions", "query_states"]
    assert list(forward.parameters) == [*names, "relative_pos", "rel_embeddings"]
    assert list(inspect.signature(DebertaV2Encoder.get_rel_pos).parameters)[1:] == [
        "hidden_states",
        "query_states",
        "relative_pos",
    ]
    layer = classifier(share_att_key=False).deberta.encoder.layer[0].attention.self
    names = ["query_proj", "key_proj", "value_proj", "pos_key_proj", "pos_query_proj", "pos_dropout", "dropout"]
    names += ["num_attention_heads", "attention_head_size", "relative_attention", "share_att_key", "pos_att_type"]
    names += ["position_buckets", "max_relative_positions", "pos_ebd_size"]
    assert not [name for name in names if not hasattr(layer, name)]
