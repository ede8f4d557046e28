"""What a table will cost, where no run is recorded: from the speed of this machine's matrix products."""

import json
from dataclasses import replace

import pytest

from dcft.results import atomic, sweeps
from dcft.sweep import estimate, plan, request
from dcft.sweep.estimate import Estimator
from tests.conftest import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "results"


@pytest.fixture
def demo(tmp_path):
    return plan.load_plan(request.read(["table=demo", f"results.dir={tmp_path}"]))


def test_a_guess_is_the_operations_over_the_speed_of_this_machine(demo, tmp_path, monkeypatch):
    """By hand: 12 h^2 weights in each of 6 layers; queries and values, each 2 h length^2, in each of 6 layers."""
    monkeypatch.setattr(estimate, "matrix_rate", lambda: 50.0)
    cell, row = demo.cells[0], demo.rows[0]
    assert (cell.task, row.model, row.method) == ("toy_sim", "minilm-l6", "lora")
    length, hidden = 27, 384
    weights, attention = 2 * length * 6 * 12 * hidden**2, 2 * 6 * 2 * length**2 * hidden
    work = 90 * 8 * (2 * weights + 3 * attention) + 2 * 100 * (weights + attention)
    guess = Estimator(tmp_path).estimate(cell, row)
    assert guess.guess
    assert guess.seconds == pytest.approx(work / 50e9 / 0.6)
    full = Estimator(tmp_path).estimate(cell, replace(row, method="full"))
    assert full.seconds == pytest.approx((work + 90 * 8 * weights) / 50e9 / 0.6)
    assert Estimator(tmp_path).estimate(cell, replace(row, model="my-own")) is None


def test_a_run_of_another_task_tells_by_the_tokens_of_a_row(tmp_path):
    """Runs of toy_sim, whose rows have 27 tokens, and cells of toy_sim and of toy_pair, whose rows have 19."""
    planned = sweeps.read(FIXTURES / "sweeps" / "demo.json")
    known = next(cell for cell in planned.cells if cell.task == "toy_sim")
    content = json.loads((FIXTURES / known.record).read_text())
    content["data_source"]["rows"] = {"train": 90, "dev": 50}
    atomic.write(tmp_path / known.record, json.dumps(content))
    time, evaluations = content["time"], len(content["history"])
    seconds = 300 / time["samples_per_s"] + 100 * time["eval_s"] / (50 * evaluations)
    for task, share in (("toy_sim", 1), ("toy_pair", 19 / 27)):
        cell = replace(known, task=task, train_samples=300, dev_samples=100)
        found = Estimator(tmp_path).estimate(cell, planned.rows[known.row])
        assert (found.seconds, found.guess) == (pytest.approx(share * seconds), False)


def test_the_speed_of_this_machine_is_plausible():
    assert 0.1 < estimate.matrix_rate() < 1e5


def test_the_guess_for_the_demo_is_right_within_a_factor_of_two(demo):
    """Its six cells took 130 s where a large product runs at 100 GFLOP/s."""
    guess = sum(estimate.operations(cell, demo.rows[cell.row]) for cell in demo.cells) / estimate.SHARE
    assert 0.5 < guess / (130 * 100e9) < 2


def test_the_demo_says_at_the_start_how_long_it_takes(script, tmp_path):
    """So does a tiny backbone; a backbone whose shape is not known here is unknown."""
    for model in ("minilm-l6", "tiny-deberta"):
        shown = script("run", "table=demo", f"model={model}", "dry=true", f"results.dir={tmp_path}").stdout
        assert "6 cells, 0 done, 6 to run; estimate: about " in shown
        assert " (a guess from FLOPs and this machine's matrix rate)\n" in shown
