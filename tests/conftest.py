"""Fixtures: the real configuration, shrunk, and the real commands in subprocesses."""

import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

# Libraries read these when they are imported, here and in the commands that tests start.
os.environ["HF_HUB_OFFLINE"] = "1"  # no test may wait for a network
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"  # the models are so small that more threads only wait for each other

import pytest
import torch
from hypothesis import settings

from dcft.config.build import build
from dcft.config.cell import RunConfig
from dcft.config.compose import Composer
from dcft.paper import audit
from dcft.paper.printed import PAPER

ROOT = Path(__file__).parent.parent
TINY_MODELS = ["tiny-deberta", "tiny-roberta", "tiny-bert"]
PAPER_MODELS = ["deberta-v3-base", "roberta-large", "deberta-v2-xxlarge"]
PAPER_METHODS = ["full", "bitfit", "hadapter", "padapter", "lora", "lora_fa", "adalora", "sora", "dcft"]
MORE_METHODS = ["dora", "lokr", "vera", "fourierft", "ia3"]
# Settings without which a method cannot do a run of a few steps.
ADALORA_SHORT = ["method.peft.tinit=0", "method.peft.tfinal=1", "method.peft.deltaT=1"]
# Enough of a run to train, evaluate twice and keep a checkpoint in about a second.
SHORT = ["train.max_steps=4", "eval.every=2", "data.max_train=64", "data.max_eval=40", "train.batch_size=8"]

settings.register_profile("quick", max_examples=20, deadline=None)
settings.register_profile("thorough", max_examples=200, deadline=None)
settings.load_profile("quick")


def pytest_configure() -> None:
    os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="dcft-tests-")  # empty, and each worker's own


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["HF_HOME"], ignore_errors=True)


def pytest_collection_modifyitems(items) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def any_device(request, monkeypatch):
    """The name of a device; runs the test on a CPU, and on a GPU where there is one. Cells run on it."""
    if request.param == "cpu":
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    return request.param


composer = cache(Composer)  # reads each YAML file once


def configure(*overrides: str) -> RunConfig:
    """The configuration that `python run.py OVERRIDES` would run."""
    config = build(composer()(list(overrides)), overrides)
    config.require_data()
    return config


@pytest.fixture
def cell(tmp_path):
    """Configure a cell whose files lie in the test's own folder."""

    def make(*overrides: str) -> RunConfig:
        return configure(*overrides, f"results.dir={tmp_path}/results", f"outputs.dir={tmp_path}/outputs")

    return make


@pytest.fixture
def copy(tmp_path):
    """A copy of the published figures that a test may edit."""
    return shutil.copytree(PAPER, tmp_path / "paper")


@pytest.fixture(scope="session")
def audited():
    """The audit of the published figures."""
    return audit.run()


@pytest.fixture
def script(monkeypatch, capsys, tmp_path):
    """Run `python scripts/NAME.py ...` or `run.py` in the test's own folder, in this process, with torch loaded."""

    def run(name: str, *arguments: str | Path) -> subprocess.CompletedProcess:
        path = ROOT / "run.py" if name == "run" else ROOT / "scripts" / f"{name}.py"
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HYDRA_FULL_ERROR", "")  # so that it is taken back after run.py has set it
        monkeypatch.delenv("HYDRA_FULL_ERROR")
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        status, message = 0, ""
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as stop:  # a text is printed and means status 1
            status, message = (1, f"{stop.code}\n") if isinstance(stop.code, str) else (stop.code, "")
        shown = capsys.readouterr()
        return subprocess.CompletedProcess(sys.argv, status, shown.out, shown.err + message)

    return run


def replace_once(path: Path, old: str, new: str) -> None:
    """Change the first occurrence of a text in a file; it must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.fixture
def command(tmp_path):
    """Run `python run.py ...` in the test's own folder, without a network."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, str(ROOT / "run.py"), *arguments],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=600,  # Ray loads PyTorch in each of its workers
        )

    return run
