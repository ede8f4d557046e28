"""A damaged checkpoint is named and set aside, and the cell goes on from an older one, or from the beginning."""

import random
import shutil
import signal

import pytest
from transformers import TrainerCallback

from dcft.errors import Interrupted
from dcft.results import records
from dcft.training import prepare, run
from dcft.training.trainer import CellTrainer
from tests.conftest import configure
from tests.faults.conftest import ALL, CELL, difference, left

PROMISE = "A damaged checkpoint is set aside, and the run ends the same, bit for bit"


class Stop(TrainerCallback):
    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 8:
            signal.raise_signal(signal.SIGTERM)


def truncate(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)


def delete(file):
    file.unlink()


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """A cell that a signal ended at step 9, with the best checkpoint and the newest; and what a whole run leaves."""
    for name in ("straight", "interrupted"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        with monkeypatch.context() as patch:
            if name == "interrupted":

                class Stopped(CellTrainer):
                    def __init__(self, *args, **kwargs):
                        super().__init__(*args, **kwargs)
                        self.add_callback(Stop)

                patch.setattr(prepare, "CellTrainer", Stopped)
            config = configure(*CELL)
            try:
                run.run_cell(config)
            except Interrupted:
                assert name == "interrupted"
    best, newest = sorted((config.work_dir / "checkpoints").absolute().glob("checkpoint-*"), key=lambda path: path.name)
    assert newest.name == "checkpoint-9"
    return best.relative_to(tmp_path), newest.relative_to(tmp_path), left(tmp_path / "straight")


def test_any_file_of_a_checkpoint(interrupted, tmp_path, monkeypatch, caplog, tally):
    best, newest, expected = interrupted
    faults = [
        (damage, file.relative_to(tmp_path))
        for damage in (truncate, flip, delete)
        for file in sorted((tmp_path / newest).iterdir())
    ]
    lost = []
    chosen = faults if ALL else random.Random(0).sample(faults, 4)
    for damage, file in chosen:
        wrong = go_on(tmp_path, monkeypatch, lambda damage=damage, file=file: damage(file), expected, best)
        (note,) = [line for line in caplog.messages if "set aside" in line]
        caplog.clear()
        if file.name not in note and file.name != "manifest.json":
            wrong = note
        lost += [f"{damage.__name__} {file.name}: {wrong}"] if wrong else []
    tally(PROMISE, "the newest checkpoint: a file cut, changed or gone", len(chosen), lost)


def test_what_the_newest_checkpoint_needs(interrupted, tmp_path, monkeypatch, caplog, tally):
    """The best checkpoint's model and its answers: without them the cell could not end as it would have."""
    best, newest, expected = interrupted
    answers = best.parent.parent / "answers" / f"{best.name.rpartition('-')[2]}.parquet"
    faults = [(flip, best / "adapter_model.safetensors"), (delete, best / "optimizer.pt"), (truncate, answers)]
    lost = []
    for damage, file in faults:
        wrong = go_on(tmp_path, monkeypatch, lambda damage=damage, file=file: damage(file), expected, None)
        assert len([line for line in caplog.messages if "set aside" in line]) == 2
        assert "the cell starts from the beginning" in caplog.messages[-1]
        caplog.clear()
        lost += [f"{damage.__name__} {file}: {wrong}"] if wrong else []
    tally(PROMISE, "the best checkpoint and its answers too", len(faults), lost)


def go_on(tmp_path, monkeypatch, damage, expected, resumed_from):
    """Damage a copy of the interrupted cell and run it; returns what is wrong with the end."""
    backup = shutil.copytree(tmp_path / "interrupted", tmp_path / "backup")
    monkeypatch.chdir(tmp_path)
    damage()
    monkeypatch.chdir(tmp_path / "interrupted")
    record = records.read(run.run_cell(configure(*CELL)))
    wrong = difference(left(tmp_path / "interrupted"), expected)
    shutil.rmtree(tmp_path / "interrupted")
    backup.rename(tmp_path / "interrupted")
    step = resumed_from and int(resumed_from.name.rpartition("-")[2])
    return wrong or (f"resumed from {record.resumed_from}" if record.resumed_from != step else None)
