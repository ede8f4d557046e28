"""The update on Q acts on position queries or not, as chosen, whatever computes attention; merging changes nothing."""

import copy
import math
from functools import partial

import peft
import pytest
import torch
from torch import nn

from dcft import DcftConfig, merged
from dcft.backbones import flash_attention, lean_attention, load, position_queries
from tests.backbones.test_lean_attention import batch, classifier, gradients
from tests.conftest import configure

TARGETS = ["query_proj", "key_proj", "value_proj"]
ADAPTERS = {
    "dcft": lambda: DcftConfig(kernel_size=4, target_modules=TARGETS),
    "adalora": lambda: peft.AdaLoraConfig(init_r=3, target_r=1, lora_alpha=2, total_step=10, target_modules=TARGETS),
}
ATTENTION = {
    "lean": lambda model: lean_attention.use(model, "lean"),
    "plain": lambda model: lean_attention.use(model, "plain"),
    "flash": lambda model: flash_attention.use(model, "torch"),
}
BUCKETS, LONGEST = 16, 64  # as in `classifier`
HEADS, SIZE = 2, 12  # the scale, the root of 3 x 12, is exact in float32, to which transformers rounds it


def adapted(method, attention="plain", kind="adapted"):
    if attention == "flash":
        pytest.importorskip("disentangled_flash", reason="needs the kernels' package: pip install -e .[flash]")
    backbone = classifier(num_attention_heads=HEADS, initializer_range=0.15)
    ATTENTION[attention](backbone)
    position_queries.use(backbone, kind)
    model = peft.get_peft_model(backbone, ADAPTERS[method]()).double()
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.3)
    return model


def bucket(distance):
    """The row of a relative position: exact up to half the buckets, logarithmic beyond (DeBERTa's code)."""
    middle = BUCKETS // 2
    if abs(distance) <= middle:
        return distance + BUCKETS
    share = math.log(abs(distance) / middle) / math.log((LONGEST - 1) / middle)
    return BUCKETS + int(math.copysign(math.ceil(share * (middle - 1)) + middle, distance))


def by_hand(attention, kind, hidden_states, attention_mask, output_attentions=False, *, rel_embeddings, **ignored):
    """The attention of DeBERTa's code (eq. 4) from dense weights; position queries with or without the update."""

    def projected(layer, x, update=True):
        linear = layer.get_base_layer()
        weight = linear.weight + layer.get_delta_weight("default") if update else linear.weight
        return (x @ weight.T + linear.bias).unflatten(-1, (HEADS, SIZE))

    query, key, value = (projected(getattr(attention, name), hidden_states) for name in TARGETS)
    length = hidden_states.shape[1]
    rows = torch.tensor([[bucket(a - c) for c in range(length)] for a in range(length)])
    position_key = projected(attention.key_proj, rel_embeddings)[rows]
    position_query = projected(attention.query_proj, rel_embeddings, update=kind == "adapted")[rows]
    scores = torch.einsum("bahi,bchi->bhac", query, key)
    scores = scores + torch.einsum("bahi,achi->bhac", query, position_key)
    scores = (scores + torch.einsum("bchi,achi->bhac", key, position_query)) / math.sqrt(3 * SIZE)
    weights = scores.masked_fill(~attention_mask.bool(), torch.finfo(scores.dtype).min).softmax(-1)
    return torch.einsum("bhac,bchi->bahi", weights, value).flatten(2), None


def reference(method, kind):
    model = adapted(method)
    for layer in model.base_model.model.deberta.encoder.layer:
        attention = layer.attention.self
        attention.forward = partial(by_hand, attention, kind)
    return model


@pytest.mark.parametrize("kind", position_queries.KINDS)
@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("method", ADAPTERS)
def test_logits_and_gradients_are_those_of_the_equation(method, attention, kind):
    model, by_equation = adapted(method, attention, kind), reference(method, kind)
    for length in (5, 20, 40):
        logits, grads = gradients(by_equation, batch(length))
        own_logits, own_grads = gradients(model, batch(length))
        torch.testing.assert_close(own_logits, logits, rtol=0, atol=1e-12)
        assert own_grads.keys() == grads.keys()
        assert max(grad.abs().max() for name, grad in grads.items() if "query_proj" in name) > 1e-3
        largest = max(1.0, *(grad.abs().max().item() for grad in grads.values()))
        for name, grad in grads.items():
            torch.testing.assert_close(own_grads[name], grad, rtol=0, atol=1e-12 * largest, msg=name)


@pytest.mark.parametrize("method", ADAPTERS)
def test_the_choice_shows_and_only_with_an_adapter(method):
    models = [adapted(method, "lean", kind) for kind in position_queries.KINDS]
    outputs = [model(**batch(20)).logits for model in models]
    assert (outputs[0] - outputs[1]).abs().max() > 1e-3
    for model in models:
        model.disable_adapter_layers()
    torch.testing.assert_close(models[0](**batch(20)).logits, models[1](**batch(20)).logits, rtol=0, atol=1e-13)


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("method", ADAPTERS)
@torch.no_grad()
def test_merging_does_not_reach_position_queries(method, attention):
    model = adapted(method, attention, "base").eval()
    free = model(**batch(20)).logits
    with merged(model), lean_attention.constant_weights(model):
        for _ in range(2):
            torch.testing.assert_close(model(**batch(20)).logits, free, rtol=0, atol=1e-12)
    model.merge_adapter()
    torch.testing.assert_close(model(**batch(20)).logits, free, rtol=0, atol=1e-12)
    model.unmerge_adapter()
    torch.testing.assert_close(model(**batch(20)).logits, free, rtol=0, atol=1e-12)


def test_a_copy_looks_at_its_own_layers():
    model = adapted("dcft", "lean", "base")
    twin = copy.deepcopy(model)
    expected = model(**batch(20)).logits
    for parameter in model.parameters():
        parameter.data.zero_()
    assert torch.equal(twin(**batch(20)).logits, expected)


def test_adapters_may_come_before_the_choice():
    model = adapted("dcft", "lean")
    position_queries.use(model, "base")
    assert torch.equal(model(**batch(20)).logits, adapted("dcft", "lean", "base")(**batch(20)).logits)


def test_nothing_is_added_to_what_is_trained_and_saved():
    one, other = (adapted("dcft", "lean", kind) for kind in position_queries.KINDS)
    assert list(one.state_dict()) == list(other.state_dict())
    assert [name for name, _ in one.named_modules()] == [name for name, _ in other.named_modules()]


@pytest.mark.parametrize("model", [classifier(share_att_key=False), nn.Sequential(nn.Linear(2, 2))])
def test_other_models_stay_as_they_are(model):
    kinds = [type(module) for module in model.modules()]
    position_queries.use(model, "base")
    assert [type(module) for module in model.modules()] == kinds


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match="position_queries=none: give adapted or base"):
        position_queries.use(classifier(), "none")


@pytest.mark.parametrize(
    ("overrides", "kind"),
    [
        (["task=rte"], "base"),
        (["task=cola", "method=adalora"], "base"),
        (["task=stsb", "preset=printed"], "base"),
        (["task=squad_v1"], "adapted"),
        (["task=squad_v2", "method=adalora"], "adapted"),
        (["task=rte", "method=lora"], "adapted"),
        (["task=rte", "method=sora"], "adapted"),
        (["task=toy_cls"], "adapted"),
    ],
)
def test_each_method_does_as_its_own_code(overrides, kind):
    assert configure(*overrides).method.position_queries == kind


def test_the_backbone_is_loaded_as_configured():
    config = configure("task=toy_cls", "model=tiny-deberta", "method.position_queries=base")
    attention = load.load_backbone(config).model.deberta.encoder.layer[0].attention.self
    assert isinstance(attention, lean_attention.LeanSelfAttention)
    assert not attention.share_att_key
    assert attention.pos_query_proj is attention.query_proj
