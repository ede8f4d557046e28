"""A disk that is full, read-only or without locks: one line that names the folder, before training where possible."""

import fcntl
import os
import shutil
import subprocess
from contextlib import suppress

import pytest
from transformers import TrainerCallback

from dcft.errors import UserError
from dcft.results import records
from dcft.training import checkpoints, prepare, run
from dcft.training.trainer import CellTrainer
from tests.conftest import configure
from tests.faults.conftest import CELL, difference, left

PROMISE = "A disk without room is one line, and the same command goes on once there is room"
EARLY = "Where results go is checked before training"


@pytest.fixture
def disk(tmp_path):
    """Mount small disks of a size such as "8m"."""
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    mounted = []

    def mount(name, size):
        (tmp_path / name).mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", tmp_path / name])
        if done.returncode:
            pytest.skip("a disk cannot be mounted here")
        mounted.append(tmp_path / name)
        return mounted[-1]

    yield mount
    for path in mounted:
        subprocess.run(["umount", "--lazy", path], check=True)


def fill(folder):
    """Write until the disk is full."""
    with suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 12))


def trainer_that(callback):
    class With(CellTrainer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.add_callback(callback)

    return With


@pytest.mark.parametrize("full", ["results", "outputs"])
def test_a_disk_that_is_full_in_the_middle(full, disk, tmp_path, monkeypatch, tally):
    (tmp_path / "straight").mkdir()
    monkeypatch.chdir(tmp_path / "straight")
    run.run_cell(configure(*CELL))
    small = disk(full, "4m")
    monkeypatch.chdir(tmp_path)
    lost = []
    for step in (1, 5):

        class Fill(TrainerCallback):
            def on_step_begin(self, args, state, control, step=step, **kwargs):
                if state.global_step == step:
                    fill(small)

        with monkeypatch.context() as patch:
            patch.setattr(prepare, "CellTrainer", trainer_that(Fill))
            with pytest.raises(UserError, match=rf"^\S*{full}/\S*: the disk is full \(0.0 MB free\); free space, and "):
                run.run_cell(configure(*CELL))
        (small / "filler").unlink()
        config = configure(*CELL)
        assert not config.record_path.exists()
        record = records.read(run.run_cell(config))
        ours = {name: value for name, value in left(tmp_path).items() if not name.startswith("straight")}
        wrong = difference(ours, left(tmp_path / "straight"))
        lost += [f"{full} at step {step}: {wrong}"] if wrong or record.attempts != 2 else []
        for name in ("results", "outputs"):
            for path in (tmp_path / name).iterdir():
                shutil.rmtree(path)
    tally(PROMISE, f"{full} is full from a step on", 2, lost)


def test_before_training(disk, tmp_path, monkeypatch, tally):
    monkeypatch.setattr(prepare, "CellTrainer", lambda *_, **__: pytest.fail("it trains"))
    monkeypatch.chdir(tmp_path)
    small = disk("small", "4m")
    lost = []

    def refused(name, match, *overrides):
        with pytest.raises(UserError, match=match):
            run.run_cell(configure(*CELL, *overrides))
        if any(path.is_file() for folder in (small, tmp_path) for path in folder.glob("**/runs/**/*")):
            lost.append(f"{name}: something is written")

    fill(small)
    refused("full results", r"^small/\S*: the disk is full; mend that", "results.dir=small")
    refused("full outputs", r"^small/\S*: the disk is full; mend that", "outputs.dir=small")
    (small / "filler").unlink()
    monkeypatch.setattr(checkpoints, "estimate", lambda _: 10**9)
    refused("too small", r"checkpoints take about 3,000 MB and [34] MB are free; free space, or", "outputs.dir=small")
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    refused("read-only results", r"^small/\S*: it is read-only; mend that", "results.dir=small")
    refused("read-only outputs", r"^small/\S*: it is read-only; mend that", "outputs.dir=small")
    tally(EARLY, "results or outputs full, too small or read-only", 5, lost)


def test_a_file_system_without_locks(tmp_path, monkeypatch, tally):
    monkeypatch.chdir(tmp_path)

    def missing(*_):
        raise OSError(38, "Function not implemented")

    def none_left(*_):
        raise OSError(37, "No locks available")

    for flock in (missing, none_left, lambda *_: None):
        monkeypatch.setattr(fcntl, "flock", flock)
        with pytest.raises(
            UserError, match="/lock: the file system has no working flock; give an outputs.dir on another"
        ):
            run.run_cell(configure(*CELL))
        assert not (tmp_path / "results").exists()
    tally(EARLY, "flock is missing, refused or without effect", 3, [])
