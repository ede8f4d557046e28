"""DCFT as the official code computes it: the same outputs and gradients as the factors."""

import pytest
import torch
from peft import get_peft_model
from torch import nn

from bench.step import workload
from bench.step.workload import OfficialLayer, use_official
from dcft import DcftConfig
from dcft.tuners.deconvolution import delta_weight


@pytest.mark.parametrize(("kernel", "stride"), [(8, 8), (8, 4), (8, 1), (2, 2)])
def test_outputs_and_gradients_are_those_of_the_factors(kernel, stride):
    torch.manual_seed(0)
    config = DcftConfig(kernel_size=kernel, stride=stride, scaling=3.0, target_modules=["0"])
    model = get_peft_model(nn.Sequential(nn.Linear(24, 40)), config).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(3, 5, 24, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(3, 5, 40, dtype=torch.float64)
    sources = [x, *(parameter for parameter in model.parameters() if parameter.requires_grad)]

    ours = model(x)
    expected = torch.autograd.grad(ours, sources, gradient)
    use_official(model)
    assert sum(isinstance(module, OfficialLayer) for module in model.modules()) == 1
    outputs = model(x)
    torch.testing.assert_close(outputs, ours, rtol=1e-12, atol=1e-12)
    gradients = torch.autograd.grad(outputs, sources, gradient)
    assert len(gradients) == 4
    torch.testing.assert_close(gradients, expected, rtol=1e-11, atol=1e-11)


def test_every_forward_builds_the_dense_update_and_no_factors(monkeypatch):
    model = get_peft_model(nn.Sequential(nn.Linear(24, 40)), DcftConfig(target_modules=["0"]))
    use_official(model)
    built = []
    monkeypatch.setattr(workload, "delta_weight", lambda *given: built.append(delta_weight(*given)) or built[-1])
    monkeypatch.setattr("dcft.tuners.dcft.factors", lambda *given: pytest.fail("factors were built"))
    for _ in range(2):
        model(torch.randn(2, 24))
    assert [tuple(delta.shape) for delta in built] == [(40, 24)] * 2
