"""The record store under faults: half-written files, two processes, a killed process."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcft.errors import UserError
from dcft.results import records

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(values=st.dictionaries(st.text(), json_values))
def test_what_is_written_is_read(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "a" / "record.json"
    record = values | {"cell": "c", "status": "done"}
    records.write(path, record)
    assert records.read(path) == record
    assert [p.name for p in path.parent.iterdir()] == ["record.json"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_never_becomes_a_record(tmp_path, value):
    path = tmp_path / "record.json"
    records.write(path, {"cell": "c", "status": "done", "score": 1.0})
    with pytest.raises(ValueError, match="not JSON compliant"):
        records.write(path, {"cell": "c", "status": "done", "score": value})
    assert records.read(path)["score"] == 1.0, "the old record was lost"
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    records.write(path, {"cell": "c", "status": "done", "score": 1.0})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        records.write(path, {"cell": "c", "status": "done", "score": 2.0})
    assert records.read(path)["score"] == 1.0
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cell": "c"}', "\xff"])
def test_a_file_that_is_no_record_is_named(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match="record.json is not a record"):
        records.read(path)


def test_the_life_of_a_cell(cell):
    config = cell("task=toy_cls", "model=tiny-bert")
    assert records.status(config.record_path, config.work_dir) == "new"
    claim = records.claim(config)
    state = claim.__enter__()
    assert state["attempts"] == 1
    assert records.status(config.record_path, config.work_dir) == "running"
    with pytest.raises(UserError, match=f"is being run by process {os.getpid()}"), records.claim(config):
        pass
    (config.work_dir / "checkpoints").mkdir()
    claim.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert records.status(config.record_path, config.work_dir) == "interrupted"
    with records.claim(config) as again:
        assert (again["attempts"], again["started"]) == (2, state["started"])
    records.write(config.record_path, {"cell": config.cell, "status": "failed"})
    assert records.status(config.record_path, config.work_dir) == "failed"
    records.write(config.record_path, {"cell": config.cell, "status": "done"})
    assert records.status(config.record_path, config.work_dir) == "done"
    config.record_path.unlink()
    assert records.status(config.record_path, config.work_dir) == "new", "a run that ended well was not interrupted"


def test_a_run_that_wrote_nothing_leaves_nothing(cell, tmp_path):
    with pytest.raises(UserError), records.claim(cell("task=toy_cls", "model=tiny-bert")):
        raise UserError("bad setting")
    assert list(tmp_path.iterdir()) == []


HOLDER = textwrap.dedent(
    """
    import time
    from dcft.config.build import build
    from dcft.config.compose import Composer
    from dcft.results import records
    with records.claim(build(Composer()({overrides!r}))):
        print("held", flush=True)
        time.sleep(60)
    """
)


def test_a_killed_process_frees_its_cell(cell, tmp_path):
    config = cell("task=toy_cls", "model=tiny-bert")
    overrides = [
        "task=toy_cls",
        "model=tiny-bert",
        f"results.dir={tmp_path}/results",
        f"outputs.dir={tmp_path}/outputs",
    ]
    code = HOLDER.format(overrides=overrides)
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline().strip() == "held"
        assert records.status(config.record_path, config.work_dir) == "running"
        with pytest.raises(UserError, match=f"process {holder.pid}"), records.claim(config):
            pass
        assert json.loads((config.work_dir / "state.json").read_text())["pid"] == holder.pid
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert records.status(config.record_path, config.work_dir) == "interrupted"
    with records.claim(config) as state:
        assert state["attempts"] == 2
