"""Trackers mirror a run and never hurt it; W&B runs are read back from disk."""

import json
import os
import pty
import select
import subprocess
import sys
from dataclasses import asdict

import pytest
from transformers import TrainerState

from dcft.config.schema import KNOBS
from dcft.errors import RunFailed, UserError
from dcft.results import records
from dcft.tracking import mirror, names
from dcft.training import prepare, recording
from dcft.training import run as training
from dcft.training.trainer import CellTrainer
from tests.conftest import ROOT, SHORT

RUN = ["task=toy_cls", "model=tiny-bert", "tracker=wandb", *SHORT]


@pytest.fixture(autouse=True)
def no_key(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def inspect(run, *options):
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", *options, str(run)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def runs_of(folder):
    """The offline runs below a cell's folder, oldest first."""
    return sorted(folder.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns)


def read_back(folder):
    (run,) = runs_of(folder)
    return run, json.loads(inspect(run.parent, "--summary"))


def history_of(run):
    """Every logged value by name and step."""
    found = {}
    for line in map(json.loads, inspect(run.parent).splitlines()):
        if line["type"] == "history":
            for key, value in line["history"]["item"].items():
                if not key.startswith("_"):
                    found.setdefault(key, {})[line["history"]["item"]["_step"]] = value
    return found


def stopping(monkeypatch, error, step):
    """Let an error end the run before the evaluation of a step."""

    class Stopping(CellTrainer):
        def evaluate(self, *args, **kwargs):
            if self.state.global_step == step:
                raise error
            return super().evaluate(*args, **kwargs)

    monkeypatch.setattr(prepare, "CellTrainer", Stopping)


def test_without_a_key_the_run_is_mirrored_offline(cell):
    config = cell(*RUN, "tracker.group=table4")
    record = records.read(training.run_cell(config))
    assert record.status == "done"
    run, shown = read_back(config.work_dir)
    assert run.stem == f"run-{config.cell.replace('.', '-')}"
    assert shown["state"] == "finished"
    assert shown["tags"] == ["toy_cls", "tiny-bert", "dcft", "toy", "substitute-backbone"]

    (start,) = [line for line in map(json.loads, inspect(run.parent).splitlines()) if line["type"] == "run"]
    assert (start["run"]["run_group"], start["run"]["job_type"]) == ("table4", "dcft")
    assert start["run"]["display_name"] == config.cell

    settings = shown["config"].pop("settings")
    assert settings["train"] == record.config["train"]
    assert shown["config"] == {
        "task": "toy_cls",
        "model": "tiny-bert",
        "method": "dcft",
        "variant": "dcft-k8",
        "kernel": 8,
        "stride": 8,
        "targets": "all",
        "seed": 6,
        "preset": "toy",
        "precision": "fp32",
        "toy": True,
        "substitute_backbone": True,
    }

    summary = shown["summary"]
    assert (summary["status"], summary["failed"], summary["whole_data"], summary["attempts"]) == ("done", 0, 0, 1)
    assert "error" not in summary
    assert summary["collapsed"] == int(record.collapsed)
    assert summary["score"] == pytest.approx(record.score)
    for key in ("metrics", "params", "time"):
        shown_values = {name: value for name, value in summary[key].items() if value is not None}
        assert shown_values == pytest.approx({k: v for k, v in asdict(record)[key].items() if v is not None})
    assert summary["peak_memory_mb"] == record.peak_memory_mb
    assert "NaN" not in json.dumps(shown)
    scores = [entry.score for entry in record.history]
    assert summary["dev/score"] == pytest.approx({"max": max(scores), "last": scores[-1]})
    assert summary["dev/loss"] == pytest.approx(record.history[-1].loss)

    history = history_of(run)
    assert set(history) == {"train/loss", "train/lr", "train/grad_norm", "dev/score", "dev/loss", "dev/accuracy"}
    assert history["dev/score"] == pytest.approx({entry.step: entry.score for entry in record.history})
    assert history["dev/loss"] == pytest.approx({entry.step: entry.loss for entry in record.history})
    assert history["train/loss"] == pytest.approx(dict(record.losses))


def test_a_method_shows_the_knobs_that_it_has(cell):
    def knobs(*overrides):
        config = cell("task=toy_cls", "model=tiny-bert", *overrides)
        shown = names.config(recording.settings(config))
        return {key: shown[key] for key in KNOBS if key in shown}

    assert knobs("method=dcft", "kernel=4", "targets=qv") == {"kernel": 4, "stride": 4, "targets": "qv"}
    assert knobs("method=lora", "rank=2") == {"rank": 2, "targets": "all"}
    assert knobs("method=hadapter", "bottleneck=4") == {"bottleneck": 4}
    assert knobs("method=full") == {}


def test_an_interrupted_cell_goes_on_with_its_run(cell, monkeypatch):
    config = cell(*RUN)
    with monkeypatch.context() as patch:
        stopping(patch, KeyboardInterrupt(), step=4)
        with pytest.raises(KeyboardInterrupt):
            training.run_cell(config)
    training.run_cell(config)
    first, second = runs_of(config.work_dir)
    assert first.name == second.name  # W&B's id: the server joins them
    assert set(history_of(first)["dev/score"]) == {2}
    assert set(history_of(second)["dev/score"]) == {4}


def test_a_failed_cell_that_is_run_again_goes_on_with_its_run(cell, monkeypatch):
    config = cell(*RUN)
    with monkeypatch.context() as patch:
        stopping(patch, OSError("disk full"), step=4)
        with pytest.raises(RunFailed):
            training.run_cell(config)
    training.run_cell(config)
    first, second = (json.loads(inspect(run.parent, "--summary")) for run in runs_of(config.work_dir))
    assert first["run_id"] == second["run_id"]
    assert (first["state"], second["state"]) == ("failed", "finished")
    assert (first["summary"]["failed"], "score" in first["summary"]) == (1, False)
    assert first["summary"]["error"] == "OSError: disk full"
    assert (second["summary"]["failed"], "error" in second["summary"]) == (0, False)


def test_a_cell_never_logs_to_the_run_of_one_that_did_not_finish(cell, monkeypatch):
    interrupted, next_one = cell(*RUN), cell(*RUN, "seed=7")
    with monkeypatch.context() as patch:
        stopping(patch, KeyboardInterrupt(), step=4)
        with pytest.raises(KeyboardInterrupt):
            training.run_cell(interrupted)
    training.run_cell(next_one)
    assert set(history_of(runs_of(interrupted.work_dir)[0])["dev/score"]) == {2}
    assert set(history_of(runs_of(next_one.work_dir)[0])["dev/score"]) == {2, 4}


def test_only_the_first_process_of_a_job_tracks(cell):
    config = cell(*RUN)
    record = {"status": "done"}
    tracker = mirror.create_tracker(config, {})
    tracker.on_train_begin(None, TrainerState(is_world_process_zero=False), None)
    tracker.on_log(None, TrainerState(is_world_process_zero=False), None, logs={"loss": 1.0})
    tracker.on_evaluate(None, TrainerState(is_world_process_zero=False), None, metrics={"eval_score": 1.0})
    tracker.finish(record)
    assert not tracker.broken
    assert not config.work_dir.exists()


def test_an_unknown_tracker_is_named(cell):
    config = cell(*RUN, "tracker.name=tensorboard")
    with pytest.raises(UserError, match="tracker.name=tensorboard: there is no such tracker; give one of none, wandb"):
        training.run_cell(config)


def test_a_tracker_is_no_part_of_the_cell(cell):
    assert cell(*RUN).cell == cell(*[part for part in RUN if part != "tracker=wandb"]).cell


def test_a_broken_tracker_warns_once_and_the_run_goes_on(cell, monkeypatch, caplog):
    import wandb

    def broken(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(wandb, "init", broken)
    record = records.read(training.run_cell(cell(*RUN)))
    assert record.status == "done"
    assert caplog.text.count("WandbTracker failed and is off for this run: disk full") == 1


@pytest.mark.slow
def test_an_unreachable_server_means_offline(cell, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(mirror, "INIT_TIMEOUT", 5)
    config = cell(*RUN)
    assert records.read(training.run_cell(config)).status == "done"
    read_back(config.work_dir)


@pytest.mark.slow
def test_on_a_terminal_it_never_asks(tmp_path):
    """W&B would ask for a key here, and wait for ever."""
    terminal, device = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}  # of the tests above
    run = subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), *RUN],
        cwd=tmp_path,
        env=clean,
        stdin=device,
        stdout=device,
        stderr=device,
    )
    os.close(device)
    shown = b""
    try:
        while chunk := read_terminal(terminal):
            shown += chunk
        assert run.wait(timeout=10) == 0, shown
    finally:
        run.kill()
    assert b"toy_cls.tiny-bert.dcft" in shown
    assert b"API key" not in shown
    (work_dir,) = (tmp_path / "outputs" / "runs").iterdir()
    read_back(work_dir)


def read_terminal(terminal: int) -> bytes:
    try:
        ready, _, _ = select.select([terminal], [], [], 60)
        return os.read(terminal, 65536) if ready else b""
    except OSError:  # how Linux says that the other side is closed
        return b""
