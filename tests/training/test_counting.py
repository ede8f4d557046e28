"""Operations of a step and of a prediction: held against sums by hand, and counting leaves no trace."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dcft.backbones import load
from dcft.paper import flops
from dcft.paper.counts import Shape
from dcft.results import records
from dcft.training import counting, methods, prepare, run
from dcft.tuners.dcft import DcftConfig, DcftLayer
from dcft.tuners.factored import factored_linear
from tests.conftest import SHORT, configure

TINY = Shape(hidden=32, intermediate=64, layers=2, vocabulary=0)


class OneLayer(nn.Module):
    """A model with one adapted layer; its loss is the sum of its outputs."""

    def __init__(self, config: DcftConfig | None):
        super().__init__()
        layer = nn.Linear(24, 40)
        if config:
            layer = DcftLayer(layer, "default")
            layer.add_adapter("default", config, "layer")
        self.layer = layer

    def forward(self, x):
        return SimpleNamespace(loss=self.layer(x).sum())


def test_products_inside_hand_written_functions_count():
    """Forward and backward of y = W x + left (right x) for 5 rows, whose x needs a gradient."""
    rows, inside, out, rank = 5, 24, 40, 3
    x = torch.randn(rows, inside, requires_grad=True)
    left, right = torch.randn(out, rank, requires_grad=True), torch.randn(rank, inside, requires_grad=True)
    with counting._Counter() as counter:
        [y] = factored_linear(x, (torch.randn(out, inside), torch.zeros(out), left, right))
        torch.autograd.grad(y.sum(), [x, left, right])
    large, skinny = 2 * rows * inside * out, 2 * rows * rank * (inside + out)
    assert counter.total == 2 * large + 3 * skinny


def test_plain_products_count_as_pytorch_counts_them():
    model, x = OneLayer(None), torch.randn(5, 24)
    with FlopCounterMode(display=False) as counter:
        model(x).loss.backward()
    assert counting.of_step(model, {"x": x}) == counter.get_total_flops() > 0


@pytest.mark.parametrize("model", ["tiny-deberta", "tiny-bert"])
def test_a_step_is_counted_from_two_of_its_rows(model):
    """The penalty and DeBERTa's position projections do not grow with the rows."""
    config = configure("task=toy_pair", f"model={model}", "method=dcft", *SHORT)
    prepared = methods.prepare(load.load_backbone(config).model, config)
    ids = torch.randint(10, 50, (7, 12))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.zeros(7, dtype=torch.long)}
    batch["attention_mask"][3:, 9:] = 0
    with counting._Counter() as counter:
        loss = prepared.model.train()(**batch).loss + prepared.hooks.penalty()
        loss.backward()
    assert counting.of_step(prepared.model, batch, prepared.hooks.penalty) == counter.total


@pytest.mark.parametrize("method", ["dcft", "lora", "bitfit"])
def test_a_prediction_costs_what_the_merged_model_costs(cell, method):
    """The encoder by formula, and the head: pooler and classifier, on one token."""
    record = records.read(run.run_cell(cell("task=toy_cls", "model=tiny-bert", f"method={method}", *SHORT)))
    mean = round(record.tokens.real / 64)  # of the training rows; dev's are drawn alike
    head = 2 * 32 * 32 + 2 * 32 * 2
    assert record.flops.prediction in {flops.forward(TINY, 1, mean + more) + head for more in (-1, 0, 1)}
    assert record.flops.step > 8 * 2 * record.flops.prediction  # a batch of 8, forward and backward


def test_a_bottleneck_cannot_be_merged_and_counts(cell):
    counts = {}
    for method in ("dcft", "padapter"):
        config = cell("task=toy_cls", "model=tiny-bert", f"method={method}", *SHORT)
        counts[method] = records.read(run.run_cell(config)).flops.prediction
    assert counts["padapter"] > counts["dcft"]


@pytest.mark.parametrize("method", ["dcft", "lora_fa", "adalora", "sora"])
def test_counting_changes_nothing(cell, method, monkeypatch):
    """The same losses and scores, to the last bit, with and without; dropout is drawn in every step."""
    adalora = ["method.peft.tinit=1", "method.peft.tfinal=1"] if method == "adalora" else []
    found = []
    for number, count in enumerate((prepare.count, lambda *_: None)):
        monkeypatch.setattr(prepare, "count", count)
        config = cell("task=toy_pair", "model=tiny-bert", f"method={method}", *adalora, *SHORT, "train.lr=1e-2")
        path = run.run_cell(config)
        record = records.read(path)
        path.unlink()
        found.append((record.losses, [(e.score, e.loss, e.metrics) for e in record.history], record.params))
        assert (record.flops is None) == bool(number)
    assert found[0] == found[1]


def test_the_model_is_left_as_it_was():
    model = OneLayer(DcftConfig(kernel_size=4)).eval()
    model.layer.dcft_A["default"].requires_grad = False
    before = {name: p.clone() for name, p in model.named_parameters()}
    trains = [p.requires_grad for p in model.parameters()]
    batch = {"x": torch.randn(5, 24)}
    state = torch.get_rng_state()
    counting.of_step(model, batch)
    counting.of_prediction(model, batch)
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.training
    assert [p.requires_grad for p in model.parameters()] == trains
    assert all(p.grad is None and torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_flash_attention_is_not_counted(cell):
    """Its kernels are no products that PyTorch dispatches."""
    assert prepare.count(replace(cell("task=toy_cls", "model=tiny-bert"), attention="flash"), None) is None
