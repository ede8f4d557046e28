"""The tuner as a PEFT citizen, on three architectures."""

import copy
import itertools

import peft
import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from dcft import DcftConfig, methods, models, orthogonality_loss, save_as_lora
from dcft.deconvolution import delta_weight
from dcft.tuners.dcft import DcftLayer
from tests.conftest import TINY_MODELS, configure


def adapted(in_features=12, out_features=20, dtype=torch.float64, **settings):
    """One linear layer with a DCFT adapter, in float64."""
    base = nn.Sequential(nn.Linear(in_features, out_features))
    model = peft.get_peft_model(base, DcftConfig(target_modules=["0"], **({"kernel_size": 4} | settings)))
    return model.to(dtype), model.base_model.model[0]


def batch(model, rows=3, length=11):
    generator = torch.Generator().manual_seed(0)
    return {"input_ids": torch.randint(5, model.config.vocab_size, (rows, length), generator=generator)}


@pytest.fixture(params=TINY_MODELS)
def classifier(request):
    """A tiny backbone with the suite's own DCFT adapter; in evaluation mode, adapter far from zero."""
    config = configure("task=toy_cls", f"model={request.param}", "kernel=4")
    torch.manual_seed(0)
    model = methods.prepare(models.load(config).model, config).model.eval()
    for name, parameter in model.named_parameters():
        if "dcft_" in name:
            nn.init.normal_(parameter, std=0.4)
    return model


@pytest.mark.parametrize(("kernel", "stride", "rank"), [(4, 4, 1), (4, 2, 1), (4, 1, 3), (2, 2, 2), (1, 1, 1)])
def test_forward_equals_the_dense_update(kernel, stride, rank):
    model, layer = adapted(kernel_size=kernel, stride=stride, rank=rank, scaling=3.0)
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    A, B, C = (getattr(layer, f"dcft_{name}")["default"] for name in "ABC")
    expected = layer.base_layer(x) + 3.0 * x @ delta_weight(A, B, C, stride).T
    torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-12)


def test_shapes_are_those_of_the_contract():
    _, layer = adapted(kernel_size=4, stride=2, rank=3)
    assert layer.dcft_A["default"].shape == (3, 5)  # (12 - 4) / 2 + 1
    assert layer.dcft_B["default"].shape == (9, 3)  # (20 - 4) / 2 + 1
    assert layer.dcft_C["default"].shape == (4, 4)
    assert layer.get_delta_weight("default").shape == (20, 12)


def test_gradcheck_in_double_precision():
    model, layer = adapted(kernel_size=4, stride=2, rank=2)
    parameters = [getattr(layer, f"dcft_{name}")["default"] for name in "ABC"]
    for parameter in parameters:
        nn.init.normal_(parameter)
    x = torch.randn(2, 12, dtype=torch.float64, requires_grad=True)

    def forward(x, *_):
        return model(x)

    assert torch.autograd.gradcheck(forward, (x, *parameters))


def test_training_never_builds_the_update(monkeypatch):
    model, layer = adapted(in_features=96, out_features=96, kernel_size=8)
    kept = []

    def keep(tensor):
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        monkeypatch.setattr(DcftLayer, "get_delta_weight", lambda *_: pytest.fail("the dense update was built"))
        model(torch.randn(2, 96, dtype=torch.float64)).sum().backward()
    dense = [t for t in kept if t.shape == (96, 96) and t.data_ptr() != layer.base_layer.weight.data_ptr()]
    assert not dense
    assert layer.base_layer.weight.grad is None


def test_start_is_the_official_one():
    torch.manual_seed(0)
    _, layer = adapted(in_features=3072, out_features=3072, kernel_size=8, dtype=torch.float32)
    for name in "ABC":
        assert getattr(layer, f"dcft_{name}")["default"].std().item() == pytest.approx(0.02, rel=0.2)
    assert layer.get_delta_weight("default").abs().max() > 0
    _, layer = adapted(init="zero")
    assert layer.get_delta_weight("default").abs().max() == 0


def test_merged_equals_unmerged_and_unmerging_is_exact(classifier):
    inputs = batch(classifier)
    before = copy.deepcopy(classifier.state_dict())
    with torch.no_grad():
        free = classifier(**inputs).logits
        classifier.merge_adapter()
        merged = classifier(**inputs).logits
        classifier.unmerge_adapter()
        with classifier.disable_adapter():
            bare = classifier(**inputs).logits
        unloaded = copy.deepcopy(classifier).merge_and_unload()
    torch.testing.assert_close(merged, free, rtol=0, atol=1e-4)
    assert (bare - free).abs().max() > 1e-3, "the adapter does nothing: the comparison above proves nothing"
    for name, tensor in classifier.state_dict().items():
        assert torch.equal(tensor, before[name]), f"{name} is not what it was before merging"
    assert not any(isinstance(module, DcftLayer) for module in unloaded.modules())
    with torch.no_grad():
        torch.testing.assert_close(unloaded(**inputs).logits, free, rtol=0, atol=1e-4)


def test_disabling_while_merged_gives_the_bare_backbone(classifier):
    inputs = batch(classifier)
    with torch.no_grad():
        with classifier.disable_adapter():
            bare = classifier(**inputs).logits
        classifier.merge_adapter()
        with classifier.disable_adapter():
            torch.testing.assert_close(classifier(**inputs).logits, bare, rtol=0, atol=0)


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
            assert torch.equal(model.eval()(**inputs).logits, expected)
    reread = peft.PeftConfig.from_pretrained(tmp_path / "adapter")
    assert isinstance(reread, DcftConfig)
    assert (reread.kernel_size, reread.stride, reread.scaling) == (4, 4, 16.0)


def test_only_adapter_and_head_train(classifier):
    classifier.train()
    out = classifier(**batch(classifier), labels=torch.tensor([0, 1, 0]))
    out.loss.backward()
    trained = {name for name, p in classifier.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert trained == {name for name, p in classifier.named_parameters() if p.requires_grad}
    assert all("dcft_" in name or ".modules_to_save." in name for name in trained)
    assert any(".modules_to_save." in name for name in trained)


def test_several_adapters_live_side_by_side(classifier):
    inputs = batch(classifier)
    targets = classifier.peft_config["default"].target_modules
    with torch.no_grad():
        first = classifier(**inputs).logits
        classifier.add_adapter("other", DcftConfig(kernel_size=8, stride=4, rank=2, target_modules=targets))
        assert torch.equal(classifier(**inputs).logits, first), "adding an adapter changed the active one"
        classifier.set_adapter("other")
        assert not torch.equal(classifier(**inputs).logits, first)
        classifier.set_adapter("default")
        assert torch.equal(classifier(**inputs).logits, first)
        classifier.delete_adapter("other")
        assert torch.equal(classifier(**inputs).logits, first)


def test_two_merged_adapters_unmerge_exactly():
    model, layer = adapted()
    model.add_adapter("other", DcftConfig(kernel_size=2, target_modules=["0"]))
    before = layer.base_layer.weight.clone()
    model.base_model.merge_adapter(["default", "other"])
    expected = before + layer.get_delta_weight("default") + layer.get_delta_weight("other")
    torch.testing.assert_close(layer.base_layer.weight.data, expected.data)
    model.unmerge_adapter()
    assert torch.equal(layer.base_layer.weight, before)


def test_safe_merge_refuses_nan_and_changes_nothing():
    model, layer = adapted()
    before = layer.base_layer.weight.clone()
    layer.dcft_C["default"].data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="nothing was merged"):
        model.merge_adapter(safe_merge=True)
    assert torch.equal(layer.base_layer.weight, before)
    assert not layer.merged


def test_bfloat16_backbone_keeps_float32_adapters(classifier):
    inputs = batch(classifier)
    with torch.no_grad():
        exact = classifier(**inputs).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            autocast = classifier(**inputs).logits
    torch.testing.assert_close(autocast.float(), exact, rtol=0.1, atol=0.05)
    backbone = copy.deepcopy(classifier).unload().to(torch.bfloat16)
    targets = classifier.peft_config["default"].target_modules
    model = peft.get_peft_model(backbone, DcftConfig(kernel_size=4, target_modules=targets))
    assert {p.dtype for n, p in model.named_parameters() if "dcft_" in n} == {torch.float32}
    assert torch.isfinite(model(**inputs).logits).all()


def test_saved_as_lora_it_is_the_same_model(classifier, tmp_path):
    inputs = batch(classifier)
    backbone = copy.deepcopy(classifier).unload()
    save_as_lora(classifier, tmp_path)
    lora = peft.PeftModel.from_pretrained(backbone, tmp_path).eval()
    assert lora.peft_config["default"].peft_type == "LORA"
    assert lora.peft_config["default"].r == 4
    with torch.no_grad():
        torch.testing.assert_close(lora(**inputs).logits, classifier(**inputs).logits, rtol=0, atol=1e-5)


def test_peft_converts_it_to_lora():
    model, _ = adapted(in_features=32, out_features=16, dtype=torch.float32)
    x = torch.randn(3, 32)
    expected = model(x)
    lora_config, weights = peft.convert_to_lora(model, rank=4)
    lora = peft.get_peft_model(copy.deepcopy(model).unload(), lora_config)
    peft.set_peft_model_state_dict(lora, weights)
    torch.testing.assert_close(lora(x), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 3])
def test_orthogonality_terms_are_their_formulas(rank):
    torch.manual_seed(0)
    base = nn.Sequential(nn.Linear(12, 20), nn.Linear(20, 8))
    model = peft.get_peft_model(base, DcftConfig(kernel_size=4, rank=rank, target_modules=["0", "1"])).double()
    layers = [module for module in model.modules() if isinstance(module, DcftLayer)]
    for parameter in itertools.chain(*(layer.parameters() for layer in layers)):
        nn.init.normal_(parameter)
    pairs = [(layer.dcft_A["default"], layer.dcft_B["default"]) for layer in layers]
    eye = torch.eye

    # eq. 4, literally: identities as large as the subspace
    paper = torch.stack(
        [(A.T @ A - eye(A.shape[1])).square().sum() + (B @ B.T - eye(B.shape[0])).square().sum() for A, B in pairs]
    ).mean()
    torch.testing.assert_close(orthogonality_loss(model, "paper"), paper)
    code = torch.stack(
        [torch.linalg.norm(m) for A, B in pairs for m in (A @ A.T - eye(rank), B.T @ B - eye(rank))]
    ).mean()
    torch.testing.assert_close(orthogonality_loss(model), code)


def test_orthogonality_leaves_the_kernel_alone():
    model, layer = adapted()
    orthogonality_loss(model).backward()
    assert layer.dcft_C["default"].grad is None
    assert layer.dcft_A["default"].grad.abs().sum() > 0


def test_size_that_does_not_fit_names_module_and_kernels():
    with pytest.raises(ValueError, match=r"kernel_size=6 with stride=6 does not fit 0 \(12 -> 20\).*: 1, 2, 4$"):
        adapted(kernel_size=6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kernel_size": 4, "stride": 8}, "stride=8 is larger than kernel_size=4"),
        ({"kernel_size": 0}, "kernel_size=0"),
        ({"rank": 0}, "rank=0"),
        ({"init": "ones"}, "init='ones'"),
    ],
)
def test_impossible_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        DcftConfig(**settings)


def test_other_layers_than_linear_are_named():
    with pytest.raises(TypeError, match="0 is a Embedding"):
        peft.get_peft_model(nn.Sequential(nn.Embedding(8, 8)), DcftConfig(target_modules=["0"]))
