"""What DCFT's layer computes, where it starts, and what it refuses."""

import copy
import itertools

import peft
import pytest
import torch
from torch import nn

from dcft import DcftConfig, orthogonality_loss
from dcft.tuners.dcft import DcftLayer
from dcft.tuners.deconvolution import delta_weight


def adapted(in_features=12, out_features=20, dtype=torch.float64, **settings):
    """One linear layer with a DCFT adapter, in float64."""
    base = nn.Sequential(nn.Linear(in_features, out_features))
    model = peft.get_peft_model(base, DcftConfig(target_modules=["0"], **({"kernel_size": 4} | settings)))
    return model.to(dtype), model.base_model.model[0]


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
