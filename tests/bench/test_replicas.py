"""Replicas trained at once take the steps that each would take alone."""

import json
import warnings

import pytest
import torch

from bench import command, replicas
from bench.replicas import steps
from bench.replicas.model import Replicas
from dcft.errors import RunFailed

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(scope="module")
def backbone():
    """Build the tiny backbones, in float64."""

    def build(model: str, device: str = "cpu"):
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return steps.frozen_backbone(model, 2, torch.device(device)).double()

    return build


@pytest.mark.parametrize("row", ["dcft-d8", "dcft-d8-s1", "lora-r8"])
@pytest.mark.parametrize("model", ["tiny-deberta", "tiny-roberta", "tiny-bert"])
def test_losses_and_gradients_are_those_of_separate_models(backbone, any_device, model, row):
    found = steps.difference(backbone(model, any_device), steps.configure(model, row), replicas=3, batch=2, length=20)
    assert found < 1e-10


def test_several_steps_are_those_of_separate_models_with_clipping_of_their_own(backbone):
    shared, config, clip = backbone("tiny-deberta"), steps.configure("tiny-deberta", "dcft-d8"), 0.5
    batches = [steps.random_batch(shared, 2, 12) for _ in range(2)]
    at_once = steps.Together(steps.together(shared, config, 2), batches, clip)
    at_once.model.eval()
    at_once.backward()
    norms = [sum(g.norm() ** 2 for g in at_once.model.gradients(seed).values()) ** 0.5 for seed in range(2)]
    assert min(norms) > clip
    assert abs(norms[0] - norms[1]) > 0.01
    at_once.optimizer.zero_grad()
    alone = [steps.Alone(steps.replica(shared, config, seed), batches[seed], clip) for seed in range(2)]
    for step in (at_once, *alone):
        step.model.eval()
        for _ in range(3):
            step()
    losses = at_once.backward()
    for seed, step in enumerate(alone):
        torch.testing.assert_close(losses[seed], step.backward(), rtol=1e-10, atol=0)
        assert (losses[seed] - losses[1 - seed]).abs() > 1e-3


@pytest.mark.parametrize(
    ("model", "dropout"), [("tiny-bert", "output"), ("tiny-deberta", "pos_dropout"), ("tiny-deberta", "attention.self")]
)
def test_equal_replicas_draw_dropout_of_their_own(backbone, model, dropout):
    shared, config = backbone(model), steps.configure(model, "dcft-d8")
    equal = Replicas([steps.replica(shared, config, seed=0).model for _ in range(2)])
    for name, module in equal.named_modules():
        if isinstance(module, torch.nn.Dropout) and dropout not in name:
            module.p = 0.0
    step = steps.Together(equal, [steps.random_batch(shared, 2, 12)] * 2, clip=1.0)
    first, second = step.backward()
    assert (first - second).abs() > 1e-12
    step.model.eval()
    first, second = step.backward()
    torch.testing.assert_close(first, second, rtol=1e-14, atol=0)


def test_replicas_that_compute_something_else_are_not_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(Replicas, "_penalties", lambda self: torch.zeros(self.replicas, dtype=torch.float64))
    options = ["--model", "tiny-bert", "--at-once", "2", "--batch", "2", "--length", "8", "--rounds", "1"]
    with pytest.raises(RunFailed, match="replicas at once differ from separate models by"):
        command.main(["replicas", *options, "--device", "cpu", "--output", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_a_ratio_is_to_as_many_separate_steps_of_the_same_round():
    settings = {"model": "tiny-bert", "row": "lora-r1", "batch": 4, "length": 25, "precision": "bf16", "rounds": 3}
    settings |= {"layers": 2, "of_layers": 2}
    times = {"alone": [10.0, 20.0, 40.0], "2": [10.0, 30.0, 40.0]}
    memory = {name: {"held": 10**6, "step": n * 10**6} for n, name in enumerate(times)}
    check = {"replicas": 2, "difference": 2e-15}
    report = {"settings": settings, "ms": times, "memory": memory, "check": check}
    assert replicas.gains(report)[2] == pytest.approx((0.5, 0.5, 0.625))
    page = "\n".join(replicas.page(report))
    assert [cell.strip() for cell in page.splitlines()[4].strip("|").split("|")] == [
        *("2", "30.0", "40.0", "0.50", "0.50-0.62", "6,667", "2", "1")
    ]
    assert "separate models, to 2e-15 of the largest" in page


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_command_checks_measures_and_writes(tmp_path, precision):
    options = ["--model", "tiny-deberta", "--at-once", "1", "2", "--batch", "2", "--length", "8", "--rounds", "2"]
    command.main(["replicas", *options, "--precision", precision, "--device", "cpu", "--output", str(tmp_path)])
    report = json.loads((tmp_path / "replicas-cpu.json").read_text())
    assert {name: len(times) for name, times in report["ms"].items()} == {"alone": 2, "1": 2, "2": 2}
    assert report["memory"]["2"]["step"] > report["memory"]["1"]["step"]
    assert report["check"]["difference"] < 1e-10
    assert (tmp_path / "replicas-cpu.md").is_file()
