"""A signal ends a run after its step, with a checkpoint and status 75, and the same command goes on."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from dcft.sweep.signals import QUIET
from tests.conftest import ROOT
from tests.faults.conftest import ALL, difference, left

# Seconds of training with an evaluation every few of them, so that a signal meets a step.
LONG = ["task=toy_cls", "model=tiny-bert", "train.max_steps=300", "eval.every=100", "data.max_train=64"]
LONG += ["data.max_eval=40", "train.batch_size=8", "train.cls_dropout=0.1"]
NAMES = ["SIGTERM", "SIGUSR1", "SIGUSR2", "SIGINT"]
pytestmark = pytest.mark.slow
PROMISE = "A signal ends a run within 10 s, with a checkpoint, and it ends the same"
SWEEP = "A signal ends a sweep's cells in good order, and leaves no process"


def start(folder, *command):
    folder.mkdir(exist_ok=True)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    words = [sys.executable, "-X", "faulthandler", *map(str, command)]
    return subprocess.Popen(words, cwd=folder, env=os.environ, **pipes)


def wait_for_step(process, text="step    100"):
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(process.stderr.read())


def ended(process):
    """Status, seconds and last line of a process that got a signal."""
    started = time.monotonic()
    try:
        _, errors = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # the fault handler tells where it hangs
        raise AssertionError("\n".join(process.communicate())) from None
    lines = errors.splitlines()
    return process.returncode, time.monotonic() - started, lines[-1] if lines else ""


@pytest.fixture
def straight(tmp_path):
    process = start(tmp_path / "straight", ROOT / "run.py", *LONG)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return left(tmp_path / "straight")


def test_a_run(straight, tmp_path, tally):
    lost = []
    names = NAMES if ALL else NAMES[:1]
    for name in names:
        process = start(tmp_path / name, ROOT / "run.py", *LONG)
        wait_for_step(process)
        process.send_signal(getattr(signal, name))
        status, seconds, line = ended(process)
        step = line.removeprefix("interrupted at step ").partition(";")[0]
        assert (status, line) == (75, f"interrupted at step {step}; the same command goes on")
        assert seconds < 10
        again = start(tmp_path / name, ROOT / "run.py", *LONG)
        output, errors = again.communicate(timeout=120)
        wrong = errors or difference(left(tmp_path / name), straight)
        if f"resumed at step {step}," not in output:
            wrong = wrong or output
        lost += [f"{name}: {wrong}"] if wrong else []
    tally(PROMISE, "a signal in the middle of a step: SIGTERM, SIGUSR1, SIGUSR2, SIGINT", len(names), lost)


def test_a_run_of_two_processes(tmp_path, tally):
    """A signal to one of them, and to torchrun, which passes it on."""
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", ROOT / "run.py", *LONG]
    whole = start(tmp_path / "whole", *command)
    _, errors = whole.communicate(timeout=300)
    assert whole.returncode == 0, errors
    expected, lost = left(tmp_path / "whole"), []
    receivers = ("a rank", "torchrun") if ALL else ("a rank",)
    for receiver in receivers:
        process = start(tmp_path / receiver, *command)
        wait_for_step(process)
        ranks = psutil.Process(process.pid).children()
        (process if receiver == "torchrun" else ranks[1]).send_signal(signal.SIGTERM)
        _, seconds, _ = ended(process)
        wrong = f"it took {seconds:.0f} s" if seconds > 20 else None
        wrong = wrong or ("a rank lives" if psutil.wait_procs(ranks, timeout=0)[1] else None)
        again = start(tmp_path / receiver, *command)
        output, errors = again.communicate(timeout=300)
        assert again.returncode == 0, errors
        assert "resumed at step 1" in output
        wrong = wrong or difference(left(tmp_path / receiver), expected)
        lost += [f"{receiver}: {wrong}"] if wrong else []
    tally(PROMISE, "a signal to torchrun, or to one of its two ranks", len(receivers), lost)


LAUNCHERS = {
    "local": ["hydra.launcher.n_jobs=2"],
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit_local": ["hydra/launcher=submitit_local"],
    "ray": ["hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2"],
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_sweep(launcher, tmp_path, script, tally, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", QUIET)  # as in a sweep that another sweep started: workers get it as an option
    if launcher != "local":
        pytest.importorskip(f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher")
    table = [ROOT / "run.py", "table=demo", "model=tiny-bert", "only=toy_cls", "methods=dcft", *LONG[3:]]
    table += [*LAUNCHERS[launcher], "train.max_steps=5000"]  # no cell may end before the signal
    process = start(tmp_path, *table)
    folder = tmp_path / "outputs"
    deadline = time.monotonic() + 400
    while not (begun := list(folder.glob("**/checkpoints/checkpoint-*"))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert begun, ended(process)
    children = psutil.Process(process.pid).children(recursive=True)
    number = signal.SIGINT if launcher == "ray" else signal.SIGTERM  # Ray ends its driver at SIGTERM
    process.send_signal(number)
    status, seconds, line = ended(process)
    wrong = [] if status == 75 and line.startswith("interrupted") else [f"{status}: {line}"]
    wrong += [f"{seconds:.0f} s"] if seconds > 20 else []
    alive = psutil.wait_procs(children, timeout=5)[1]
    wrong += [f"{child.pid} lives: {' '.join(child.cmdline())[:80]}" for child in alive]
    steps = [json.loads(path.read_text())["global_step"] for path in folder.rglob("trainer_state.json")]
    wrong += [] if any(step % 100 for step in steps) else [f"no checkpoint was made: {steps}"]
    again = script("run", *table[1:], "dry=true")
    wrong += [] if "of them interrupted" in again.stdout else [again.stdout[-1000:] + again.stderr]
    tally(SWEEP, f"{number.name} to a sweep on launcher {launcher}", 1, wrong)
