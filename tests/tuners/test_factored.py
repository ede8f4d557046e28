"""The low-rank update as it is computed: exact gradients, exact types, and no trace of an evaluation."""

import copy

import peft
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dcft import DcftConfig, SoraConfig, merged
from dcft.tuners.dcft import DcftLayer
from dcft.tuners.factored import factored_linear, project


def operands(dtype=torch.float64, bias=True, device="cpu"):
    generator = torch.Generator().manual_seed(0)
    shapes = {"x": (2, 3, 5), "weight": (4, 5), "bias": (4,), "left": (4, 2), "right": (2, 5)}
    tensors = {
        name: torch.randn(shape, generator=generator).to(device, dtype).requires_grad_()
        for name, shape in shapes.items()
    }
    return tensors if bias else tensors | {"bias": None}


def forward(x, *layer):
    return factored_linear(x, layer)[0]


def stack(*sizes, config=None, dtype=torch.float64, device="cpu"):
    """Linear layers and activations with an adapter on each, away from its start."""
    torch.manual_seed(0)
    layers = [layer for pair in zip(sizes, sizes[1:], strict=False) for layer in (nn.Linear(*pair), nn.Tanh())]
    names = [str(i) for i, layer in enumerate(layers) if isinstance(layer, nn.Linear)]
    config = config or DcftConfig(kernel_size=4, stride=2, rank=2, scaling=3.0)
    config.target_modules = set(names)
    model = peft.get_peft_model(nn.Sequential(*layers), config).to(device, dtype)
    for parameter in model.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.5)
    return model


@pytest.mark.parametrize("bias", [True, False])
def test_gradients_of_all_operands_are_exact(bias, any_device):
    tensors = operands(bias=bias, device=any_device)
    expected = F.linear(tensors["x"], tensors["weight"] + tensors["left"] @ tensors["right"], tensors["bias"])
    torch.testing.assert_close(forward(*tensors.values()), expected)
    assert torch.autograd.gradcheck(forward, tuple(tensors.values()))


def test_gradients_of_layers_that_share_an_input_are_exact():
    one, two = operands(), operands()
    two |= {"left": two["left"][:, :1].detach().requires_grad_(), "right": two["right"][:1].detach().requires_grad_()}
    layers = [list(tensors.values())[1:] for tensors in (one, two)]
    for ours, theirs in zip(
        factored_linear(one["x"], *layers), (forward(one["x"], *layer) for layer in layers), strict=True
    ):
        torch.testing.assert_close(ours, theirs)
    tensors = (one["x"], *layers[0], *layers[1])
    assert torch.autograd.gradcheck(lambda x, *rest: factored_linear(x, rest[:4], rest[4:]), tensors)
    first, _ = factored_linear(one["x"], *layers)  # the other output is not used
    first.sum().backward()
    assert two["left"].grad.abs().sum() == 0


def test_projecting_together_is_projecting_one_by_one_whatever_the_layers_are():
    model = stack(8, 12, 8)
    layer = model.base_model.model[0]
    x = torch.randn(3, 8, dtype=torch.float64)
    linear = nn.Linear(8, 4).double()
    for layers in ([layer, layer], [layer, linear], [linear, linear]):
        for ours, theirs in zip(project(x, *layers), [each(x) for each in layers], strict=True):
            torch.testing.assert_close(ours, theirs)
    seen = []
    hook = layer.register_forward_hook(lambda *_: seen.append(1))
    project(x, layer, layer)
    assert len(seen) == 2, "a hook was passed over"
    hook.remove()
    layer.forward = layer.base_layer.forward
    torch.testing.assert_close(project(x, layer, layer)[0], layer.base_layer(x))


def test_a_frozen_operand_gets_no_gradient_and_costs_none():
    tensors = operands()
    for name in ("x", "weight", "bias"):
        tensors[name] = tensors[name].detach()
    forward(*tensors.values()).sum().backward()
    assert tensors["x"].grad is None
    assert tensors["weight"].grad is None
    assert tensors["left"].grad is not None


@pytest.mark.parametrize("shape", [(5,), (1, 5), (0, 5), (2, 1, 3, 5)])
def test_any_number_of_leading_dimensions(shape):
    tensors = operands() | {"x": torch.randn(shape, dtype=torch.float64, requires_grad=True)}
    y = forward(*tensors.values())
    assert y.shape == (*shape[:-1], 4)
    y.sum().backward()
    assert tensors["x"].grad.shape == shape


def test_autocast_rounds_products_and_nothing_else(any_device):
    tensors = operands(torch.float32, device=any_device)
    with torch.autocast(any_device, torch.bfloat16):
        y = forward(*tensors.values())
        theirs = F.linear(tensors["x"], tensors["weight"], tensors["bias"])
    assert y.dtype == theirs.dtype == torch.bfloat16
    y.float().square().sum().backward()
    exact = operands(device=any_device)
    forward(*exact.values()).square().sum().backward()
    for name, tensor in tensors.items():
        assert tensor.grad.dtype == torch.float32
        assert (tensor.grad - exact[name].grad).norm() < 0.02 * exact[name].grad.norm()


def test_adapters_stay_in_float32_on_a_half_precision_backbone():
    model = stack(8, 8, dtype=torch.float32)
    layer = model.base_model.model[0]
    layer.base_layer.to(torch.bfloat16)
    y = model(torch.randn(3, 8, dtype=torch.bfloat16))
    assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert layer.dcft_C["default"].grad.dtype == torch.float32


def test_hooks_on_the_wrapped_layer_see_its_input():
    model = stack(8, 12)
    layer = model.base_model.model[0]
    x = torch.randn(3, 8, dtype=torch.float64)
    expected = layer(x)
    seen = []
    layer.base_layer.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    torch.testing.assert_close(layer(x), expected)
    assert seen == [x] or torch.equal(seen[0], x)


def test_an_adapter_on_an_adapter_acts_too():
    model = stack(8, 12)
    x = torch.randn(3, 8, dtype=torch.float64)
    layer = model.base_model.model[0]
    outer = DcftLayer(layer, "default")
    outer.add_adapter("default", DcftConfig(kernel_size=2), "0")
    outer.double()
    torch.testing.assert_close(outer(x), layer(x) + x @ outer.get_delta_weight("default").T)


def test_factors_built_together_are_those_of_each_layer():
    model = stack(8, 12, 8, 12, 12)
    model.add_adapter("other", DcftConfig(kernel_size=2, target_modules=["0", "4"], scaling=0.5))
    model.double()
    model.base_model.set_adapter(["default", "other"])
    x = torch.randn(3, 8, dtype=torch.float64)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert len(trained) == 3 * (4 + 2)
    together = model.base_model(x)  # without a task type, PEFT's own model goes past the tuner's forward
    grads = torch.autograd.grad(together.square().sum(), trained.values())
    one_by_one = model.base_model.model(x)
    expected = torch.autograd.grad(one_by_one.square().sum(), trained.values())
    torch.testing.assert_close(together, one_by_one)
    for grad, theirs in zip(grads, expected, strict=True):
        torch.testing.assert_close(grad, theirs)


def test_factors_are_forgotten_after_a_forward_pass_even_one_that_fails():
    model = stack(8, 12)
    with pytest.raises(RuntimeError):
        model.base_model(torch.randn(3, 7, dtype=torch.float64))
    layer = model.base_model.model[0]
    x = torch.randn(3, 8, dtype=torch.float64)
    before = layer(x)
    layer.dcft_C["default"].data.mul_(2.0)
    assert (layer(x) - before).abs().max() > 1e-3


@pytest.mark.parametrize("config", [None, SoraConfig(r=3)], ids=["dcft", "sora"])
def test_merged_for_an_evaluation_and_unmerged_to_the_bit(config, any_device):
    model = stack(8, 12, 8, config=config, dtype=torch.float32, device=any_device)
    x = torch.randn(3, 8, device=any_device)
    before = copy.deepcopy(model.state_dict())
    expected = model(x)
    with merged(model):
        layers = [module for module in model.modules() if hasattr(module, "merged_adapters")]
        assert all(layer.merged for layer in layers)
        torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    with pytest.raises(KeyboardInterrupt), merged(model):
        raise KeyboardInterrupt
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_merged_leaves_alone_what_is_merged_or_disabled():
    model = stack(8, 12, 8)
    model.base_model.model[0].merge()
    with merged(model):
        pass
    assert model.base_model.model[0].merged
    model.unmerge_adapter()
    with model.disable_adapter(), merged(model):
        assert not model.base_model.model[0].merged


def test_a_quantised_weight_is_never_overwritten():
    """bitsandbytes' 8-bit layer holds an int8 weight like this one."""
    model = stack(8, 12, 8)
    layer = model.base_model.model[0]
    quantised = torch.arange(96, dtype=torch.int8).view(12, 8)
    layer.get_base_layer().weight = nn.Parameter(quantised.clone(), requires_grad=False)
    with pytest.raises(TypeError, match=r"the weight of a Linear \(Tensor of torch.int8\) takes no update; leave"):
        layer.merge()
    with merged(model):
        assert not layer.merged
        assert model.base_model.model[2].merged
    assert torch.equal(layer.get_base_layer().weight, quantised)
