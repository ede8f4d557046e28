"""Trackers mirror a run and never hurt it; W&B runs are read back from disk."""

import json
import os
import pty
import select
import subprocess
import sys

import pytest

from dcft import records, tracking, training
from tests.conftest import ROOT, SHORT

RUN = ["task=toy_cls", "model=tiny-bert", "tracker=wandb", *SHORT]


@pytest.fixture(autouse=True)
def no_key(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def read_back(folder):
    (run,) = folder.glob("wandb/offline-run-*/*.wandb")
    shown = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(run.parent)],
        capture_output=True,
        text=True,
        check=True,
    )
    return run, json.loads(shown.stdout)


def test_without_a_key_the_run_is_mirrored_offline(cell):
    config = cell(*RUN)
    record = records.read(training.run(config))
    assert record["status"] == "done"
    run, summary = read_back(config.work_dir)
    assert run.stem == f"run-{config.cell.replace('.', '-')}"
    assert summary["summary"]["score"] == pytest.approx(record["score"])
    assert summary["summary"]["status"] == "done"
    assert summary["summary"]["dev/accuracy"] == pytest.approx(record["last"]["metrics"]["accuracy"])
    assert summary["config"]["task"]["name"] == "toy_cls"
    assert summary["tags"] == ["toy_cls", "tiny-bert", "dcft"]


def test_a_tracker_is_no_part_of_the_cell(cell):
    assert cell(*RUN).cell == cell(*[part for part in RUN if part != "tracker=wandb"]).cell


def test_a_broken_tracker_warns_once_and_the_run_goes_on(cell, monkeypatch, caplog):
    import wandb

    def broken(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(wandb, "init", broken)
    record = records.read(training.run(cell(*RUN)))
    assert record["status"] == "done"
    assert caplog.text.count("WandbTracker failed and is off for this run: disk full") == 1


def test_an_unreachable_server_means_offline(cell, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(tracking, "INIT_TIMEOUT", 5)
    config = cell(*RUN)
    assert records.read(training.run(config))["status"] == "done"
    read_back(config.work_dir)


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
