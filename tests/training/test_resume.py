"""A run that was interrupted and goes on is the same run, bit for bit, whatever the method keeps beside the weights."""

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest
import torch
from transformers import TrainerCallback

from dcft.errors import Interrupted
from dcft.results import records
from dcft.training import checkpoints, prepare, run
from dcft.training.trainer import CellTrainer
from tests.conftest import PAPER_METHODS, ROOT, configure

# Ten steps of 1.4 epochs, an evaluation after five, dropout on, batches grouped by length.
TEN_STEPS = ["task=toy_pair", "model=tiny-deberta", "train.max_steps=10", "eval.every=5", "data.max_train=56"]
TEN_STEPS += ["data.max_eval=40", "train.batch_size=8", "train.cls_dropout=0.1"]
CUTTING = [
    "method.peft.tinit=1",
    "method.peft.tfinal=2",
    "method.peft.deltaT=2",
]  # the checkpoint lies between two cuts
AFTER = ["method.peft.tinit=1", "method.peft.tfinal=6", "method.peft.deltaT=1"]  # the checkpoint lies after the last
GATES = ["method.sparsity.thresholds=[1e-3,0.3]", "train.lr=1e-2"]  # the second half of the run closes gates
CASES = {method: [f"method={method}"] for method in PAPER_METHODS if method not in ("adalora", "sora")} | {
    "lora_fa, PEFT's optimiser": ["method=lora_fa", "method.optimizer=lorafa"],
    "adalora, cutting": ["method=adalora", *CUTTING],
    "adalora, after the last cut": ["method=adalora", *AFTER],
    "sora": ["method=sora", *GATES],
}


class Watch(TrainerCallback):
    """Keeps which steps were trained, the optimiser's state after each and every parameter after the last.

    Sends a signal in step `stop`.
    """

    def __init__(self, stop: int | None, number: int):
        self.steps = []
        self.moments = {}
        self.stop, self.number = stop, number

    def on_step_end(self, args, state, control, model=None, optimizer=None, **kwargs):
        self.steps.append(state.global_step)
        self.moments[state.global_step] = [
            (name, torch.as_tensor(value).clone().float())
            for moments in optimizer.state.values()
            for name, value in sorted(moments.items())
        ]
        self.weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step + 1 == self.stop:
            signal.raise_signal(self.number)


def watched(config, monkeypatch, stop=None, number=signal.SIGTERM):
    watch = Watch(stop, number)

    class Watched(CellTrainer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.add_callback(watch)

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "CellTrainer", Watched)
        if stop:
            with pytest.raises(Interrupted, match=f"^interrupted at step {stop}; the same command goes on$"):
                run.run_cell(config)
            return None, watch
        return records.read(run.run_cell(config)), watch


def assert_same_run(interrupted, straight, monkeypatch, at=7):
    """Finish `interrupted`, which has a checkpoint of step `at`, run `straight` in one go, and compare."""
    assert records.status(interrupted.record_path, interrupted.work_dir) == "interrupted"
    assert checkpoints.newest(interrupted.work_dir).name == f"checkpoint-{at}"
    resumed, after = watched(interrupted, monkeypatch)
    straight, whole = watched(straight, monkeypatch)
    assert (after.steps, whole.steps) == (list(range(at + 1, 11)), list(range(1, 11)))
    assert (resumed.attempts, resumed.resumed_from) == (2, at)
    assert resumed.history[1].train_s > resumed.history[0].train_s, "the time of the first attempt is lost"
    assert resumed.losses == straight.losses
    assert resumed.params == straight.params
    for ours, theirs in zip(resumed.history, straight.history, strict=True):
        assert replace(ours, train_s=0.0, eval_s=0.0) == replace(theirs, train_s=0.0, eval_s=0.0)
    for step in after.steps:
        for (name, ours), (_, theirs) in zip(after.moments[step], whole.moments[step], strict=True):
            assert torch.equal(ours, theirs), f"{name} at step {step}"
    assert whole.weights.keys() == after.weights.keys()
    for name, tensor in whole.weights.items():
        assert torch.equal(tensor, after.weights[name]), name
    return straight


def folders(tmp_path, name):
    return [f"results.dir={tmp_path}/{name}/results", f"outputs.dir={tmp_path}/{name}/outputs"]


QUICK = ("full", "lora", "dcft", "adalora, cutting", "sora")  # CI tests the rest, too


@pytest.mark.parametrize(
    "case", [case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)
def test_ten_steps_are_five_an_interruption_and_five_more_bit_for_bit(case, any_device, tmp_path, monkeypatch):
    interrupted = configure(*TEN_STEPS, *CASES[case], *folders(tmp_path, "interrupted"))
    watched(interrupted, monkeypatch, stop=7)
    straight = configure(*TEN_STEPS, *CASES[case], *folders(tmp_path, "straight"))
    record = assert_same_run(interrupted, straight, monkeypatch)
    if case in ("adalora, after the last cut", "sora"):
        assert record.params.kept < record.params.adapter, "nothing was pruned: nothing was tested"


@pytest.mark.slow
def test_a_compiled_run_goes_on_bit_for_bit(any_device, tmp_path, monkeypatch):
    settings = [*TEN_STEPS, "kernel=4", "compile=true"]
    interrupted = configure(*settings, *folders(tmp_path, "interrupted"))
    watched(interrupted, monkeypatch, stop=7)
    torch._dynamo.reset()  # another process would compile again
    assert_same_run(interrupted, configure(*settings, *folders(tmp_path, "straight")), monkeypatch)


KILLED = textwrap.dedent(
    """
    import os, signal, sys
    sys.path.insert(0, {root!r})
    from transformers import TrainerCallback
    from tests.conftest import configure
    from dcft.training import prepare, run as training

    class Kill(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 7:
                os.kill(os.getpid(), signal.SIGKILL)

    trainer = prepare.CellTrainer
    def killed(*args, **kwargs):
        made = trainer(*args, **kwargs)
        made.add_callback(Kill())
        return made
    prepare.CellTrainer = killed
    training.run_cell(configure(*{overrides!r}))
    """
)


def test_a_killed_process_is_an_interruption_like_any_other(tmp_path, monkeypatch):
    overrides = [*TEN_STEPS, "method=dcft", *folders(tmp_path, "killed")]
    code = KILLED.format(root=str(ROOT), overrides=overrides)
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, timeout=120)
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    straight = configure(*TEN_STEPS, "method=dcft", *folders(tmp_path, "straight"))
    assert_same_run(configure(*overrides), straight, monkeypatch, at=5)
