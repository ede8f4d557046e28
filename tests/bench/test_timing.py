"""Rounds, ratios and memory."""

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.step import memory
from bench.timing import interleave, milliseconds, ratios, spread

CPU = torch.device("cpu")
positive = st.floats(1e-3, 1e3)


@given(st.lists(st.tuples(positive, positive), min_size=1, max_size=9), positive, positive)
def test_a_round_that_is_slow_as_a_whole_changes_no_ratio(rounds, cost, floor):
    """Each round slows everything down by a factor of its own; the ratio stays that of the costs."""
    times = [slow * cost for slow, _ in rounds]
    floors = [slow * floor for slow, _ in rounds]
    assert ratios(times, floors) == pytest.approx([cost / floor] * len(rounds))
    assert spread(ratios(times, floors)) == pytest.approx((cost / floor,) * 3)


def test_a_ratio_is_to_the_floor_of_its_own_round():
    assert ratios([2.0, 30.0, 8.0], [1.0, 10.0, 2.0]) == [2.0, 3.0, 4.0]
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0, 2.0], [1.0])


def test_a_spread_is_the_median_and_the_quartiles():
    assert spread([5.0, 1.0, 4.0, 2.0, 3.0]) == (3.0, 2.0, 4.0)
    assert spread([7.0]) == (7.0, 7.0, 7.0)


def test_every_round_runs_every_row_once_in_changing_order():
    called = []
    workloads = {name: (lambda name=name: called.append(name)) for name in "abcd"}
    times = interleave(workloads, rounds=6, device=CPU, description="")
    rounds = [called[i : i + 4] for i in range(0, len(called), 4)]
    assert len(rounds) == 6
    assert all(sorted(order) == list("abcd") for order in rounds)
    assert len(set(map(tuple, rounds))) > 1
    assert {name: len(ms) for name, ms in times.items()} == dict.fromkeys("abcd", 6)
    assert all(time >= 0 for ms in times.values() for time in ms)


def test_a_time_is_that_of_the_work_and_not_of_its_launch(any_device):
    cycles = 100_000_000  # 20 ms at 5 GHz; no GPU's clock is faster
    work = {"cpu": lambda: time.sleep(0.02), "cuda": lambda: torch.cuda._sleep(cycles)}[any_device]
    assert milliseconds(work, torch.device(any_device), calls=2) >= 20


def test_the_time_of_several_calls_is_their_mean():
    called = []
    assert milliseconds(lambda: called.append(1), CPU, calls=5) >= 0
    assert len(called) == 5


def test_allocated_memory_is_the_peak_above_what_was_allocated_before(any_device):
    kept = torch.zeros(1000, device=any_device)

    def workload():
        first = kept + 1  # 4000 bytes
        second = torch.cat([first, first])  # 8000 more: the peak is 12000
        del first
        return second + 1  # 8000 + 8000, after the first is gone: 16000

    workload()  # on a GPU the first call loads kernels
    assert 16000 <= memory.allocated(workload, torch.device(any_device)) < 16500


def test_memory_that_was_allocated_before_does_not_count():
    kept = torch.zeros(1000)
    assert memory.allocated(lambda: kept.sum(), CPU) < 500


def test_held_memory_counts_weights_and_the_optimiser_s_state():
    layer = torch.nn.Linear(100, 50, bias=False).requires_grad_(False)
    head = torch.nn.Linear(50, 2, bias=False)
    model = torch.nn.Sequential(layer, head)
    optimizer = torch.optim.AdamW([head.weight], fused=True)
    assert memory.held(model, optimizer) == 4 * (5000 + 100)
    model(torch.randn(1, 100)).sum().backward()
    optimizer.step()
    assert memory.held(model, optimizer) == 4 * (5000 + 100 + 2 * 100 + 1)  # two averages and the number of steps
