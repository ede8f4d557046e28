"""The products of a step that are timed alone are all of its products, forward and backward."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench.step import rows
from bench.step.measure import Measurement
from bench.step.products import Products

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", [rows.STEP_FLOOR, rows.FULL])
def test_a_step_has_as_many_operations_as_pytorch_counts(arguments, name):
    measurement = Measurement("tiny-deberta", 12, arguments())
    workload = measurement.workloads({name: rows.STEP[name]}, training=True)[name]
    with FlopCounterMode(display=False) as counter:
        workload()
    assert Products(workload, CPU).gflop == pytest.approx(counter.get_total_flops() / 1e9, rel=1e-12)


def test_a_layer_has_two_products_and_a_frozen_one_has_no_third():
    layer, x = nn.Linear(6, 4), torch.randn(5, 6, requires_grad=True)
    assert Products(lambda: layer(x).sum().backward(), CPU).gflop == pytest.approx(3 * 2 * 5 * 6 * 4 / 1e9)
    layer.requires_grad_(False)
    assert Products(lambda: layer(x).sum().backward(), CPU).gflop == pytest.approx(2 * 2 * 5 * 6 * 4 / 1e9)


def test_products_are_computed_in_their_layout():
    """A transposed operand is multiplied as a transposed one: it may be slower."""
    left, right = torch.randn(3, 4), torch.randn(5, 4)
    [(_, matrices, count)] = Products(lambda: [left @ right.T for _ in range(2)], CPU).calls
    assert count == 2
    assert [(part.shape, part.stride()) for part in matrices] == [((3, 4), (4, 1)), ((4, 5), (1, 4))]
