"""The tuners as PEFT citizens: merged, saved, loaded, switched off, several at once, on three architectures."""

import copy

import peft
import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from dcft import BottleneckConfig, DcftConfig, SoraConfig, save_as_lora
from dcft.backbones import load
from dcft.training import methods
from dcft.tuners.base import LinearTunerLayer
from tests.conftest import TINY_MODELS, configure

SETTINGS = {"dcft": ["kernel=4"], "sora": ["rank=3"], "hadapter": ["bottleneck=3"]}
OTHERS = {
    "dcft": DcftConfig(kernel_size=8, stride=4, rank=2),
    "sora": SoraConfig(r=2),
    "hadapter": BottleneckConfig(bottleneck_size=5),
}


def batch(model, rows=3, length=11):
    generator = torch.Generator().manual_seed(0)
    return {"input_ids": torch.randint(5, model.config.vocab_size, (rows, length), generator=generator)}


def adapted(method: str, model: str) -> peft.PeftModel:
    """A tiny backbone with the suite's own adapter; in evaluation mode, adapter far from its start."""
    config = configure("task=toy_cls", f"model={model}", f"method={method}", *SETTINGS[method])
    torch.manual_seed(0)
    classifier = methods.prepare(load.load_backbone(config).model, config).model.eval()
    for name, parameter in classifier.named_parameters():
        if classifier.base_model.prefix in name:
            nn.init.normal_(parameter, std=0.4)
    return classifier


@pytest.fixture(params=TINY_MODELS)
def model_name(request):
    return request.param


@pytest.fixture(params=SETTINGS)
def classifier(request, model_name):
    return adapted(request.param, model_name)


@pytest.fixture(params=["dcft", "sora"])
def linear(request, model_name):
    """Adapters that are a sum with the weight."""
    return adapted(request.param, model_name)


def tuner_of(model: peft.PeftModel) -> str:
    return {"DCFT": "dcft", "SORA": "sora", "BOTTLENECK": "hadapter"}[model.peft_config["default"].peft_type.value]


def test_merged_equals_unmerged_and_unmerging_is_exact(linear):
    inputs = batch(linear)
    before = copy.deepcopy(linear.state_dict())
    with torch.no_grad():
        free = linear(**inputs).logits
        linear.merge_adapter()
        merged = linear(**inputs).logits
        linear.unmerge_adapter()
        with linear.disable_adapter():
            bare = linear(**inputs).logits
        unloaded = copy.deepcopy(linear).merge_and_unload()
    torch.testing.assert_close(merged, free, rtol=0, atol=1e-4)
    assert (bare - free).abs().max() > 1e-3, "the adapter does nothing: the comparison above proves nothing"
    for name, tensor in linear.state_dict().items():
        assert torch.equal(tensor, before[name]), f"{name} is not what it was before merging"
    assert not any(isinstance(module, LinearTunerLayer) for module in unloaded.modules())
    with torch.no_grad():
        torch.testing.assert_close(unloaded(**inputs).logits, free, rtol=0, atol=1e-4)


def test_disabling_while_merged_gives_the_bare_backbone(linear):
    inputs = batch(linear)
    with torch.no_grad():
        with linear.disable_adapter():
            bare = linear(**inputs).logits
        linear.merge_adapter()
        with linear.disable_adapter():
            torch.testing.assert_close(linear(**inputs).logits, bare, rtol=0, atol=0)


def test_a_bottleneck_says_that_it_cannot_be_merged(model_name):
    model = adapted("hadapter", model_name)
    inputs = batch(model)
    with torch.no_grad():
        before = model(**inputs).logits
        with pytest.raises(ValueError, match="cannot be merged: it is not linear"):
            model.merge_adapter()
        assert torch.equal(model(**inputs).logits, before)


def test_saved_adapter_loads_everywhere(classifier, tmp_path):
    inputs = batch(classifier)
    base = classifier.get_base_model()
    backbone = copy.deepcopy(classifier).unload()
    backbone.save_pretrained(tmp_path / "backbone")
    classifier.peft_config["default"].base_model_name_or_path = str(tmp_path / "backbone")
    classifier.save_pretrained(tmp_path / "adapter")
    size = sum(file.stat().st_size for file in (tmp_path / "adapter").glob("*.safetensors"))
    assert size < sum(p.numel() for p in base.parameters()) * 4 / 2, "the adapter's file holds the backbone"

    fresh = AutoModelForSequenceClassification.from_pretrained(tmp_path / "backbone")
    loaded = [
        peft.PeftModel.from_pretrained(fresh, tmp_path / "adapter"),
        peft.AutoPeftModelForSequenceClassification.from_pretrained(tmp_path / "adapter"),
    ]
    with torch.no_grad():
        expected = classifier(**inputs).logits
        for model in loaded:
            # loaded so, DeBERTa's attention is transformers' own: the same but for rounding
            torch.testing.assert_close(model.eval()(**inputs).logits, expected, rtol=0, atol=1e-6)
    reread, own = peft.PeftConfig.from_pretrained(tmp_path / "adapter"), classifier.peft_config["default"]
    assert type(reread) is type(own)
    assert set(reread.target_modules) == set(own.target_modules)
    apart = {"inference_mode": None, "target_modules": None}
    assert {**reread.to_dict(), **apart} == {**own.to_dict(), **apart}


def test_only_adapter_and_head_train(classifier):
    classifier.train()
    out = classifier(**batch(classifier), labels=torch.tensor([0, 1, 0]))
    out.loss.backward()
    trained = {name for name, p in classifier.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert trained == {name for name, p in classifier.named_parameters() if p.requires_grad}
    assert all(classifier.base_model.prefix in name or ".modules_to_save." in name for name in trained)
    assert any(".modules_to_save." in name for name in trained)


def test_several_adapters_live_side_by_side(classifier):
    inputs = batch(classifier)
    own = classifier.peft_config["default"]
    other = copy.deepcopy(OTHERS[tuner_of(classifier)])
    other.target_modules = own.target_modules
    with torch.no_grad():
        first = classifier(**inputs).logits
        classifier.add_adapter("other", other)
        assert torch.equal(classifier(**inputs).logits, first), "adding an adapter changed the active one"
        classifier.set_adapter("other")
        assert not torch.equal(classifier(**inputs).logits, first)
        classifier.set_adapter("default")
        assert torch.equal(classifier(**inputs).logits, first)
        classifier.delete_adapter("other")
        assert torch.equal(classifier(**inputs).logits, first)


def test_bfloat16_backbone_keeps_float32_adapters(classifier):
    inputs = batch(classifier)
    with torch.no_grad():
        exact = classifier(**inputs).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            autocast = classifier(**inputs).logits
    torch.testing.assert_close(autocast.float(), exact, rtol=0.1, atol=0.1)
    backbone = copy.deepcopy(classifier).unload().to(torch.bfloat16)
    config = copy.deepcopy(OTHERS[tuner_of(classifier)])
    config.target_modules = classifier.peft_config["default"].target_modules
    model = peft.get_peft_model(backbone, config)
    assert {p.dtype for n, p in model.named_parameters() if model.base_model.prefix in n} == {torch.float32}
    assert torch.isfinite(model(**inputs).logits).all()


def test_saved_as_lora_it_is_the_same_model(linear, tmp_path):
    inputs = batch(linear)
    backbone = copy.deepcopy(linear).unload()
    save_as_lora(linear, tmp_path)
    lora = peft.PeftModel.from_pretrained(backbone, tmp_path).eval()
    assert lora.peft_config["default"].peft_type == "LORA"
    assert lora.peft_config["default"].r == {"dcft": 4, "sora": 3}[tuner_of(linear)]
    with torch.no_grad():
        torch.testing.assert_close(lora(**inputs).logits, linear(**inputs).logits, rtol=0, atol=1e-5)


def test_what_is_no_low_rank_update_is_not_saved_as_lora(tmp_path):
    with pytest.raises(ValueError, match="neither DCFT nor SoRA; nothing was converted"):
        save_as_lora(adapted("hadapter", "tiny-bert"), tmp_path / "lora")
    assert not (tmp_path / "lora").exists()
