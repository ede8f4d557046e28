"""The record store under faults: half-written files, two processes, a killed process."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcft.errors import UserError
from dcft.results import atomic, records
from dcft.results.record import Record, from_json, json_schema
from dcft.training import recording
from dcft.training.recording import Result
from tests.conftest import ROOT, SHORT
from tests.fixtures.make import RESULTS

OLD = RESULTS.parent / "old" / "toy_cls.tiny-bert.dcft-k8.s6.7b199fa33e.json"
EXAMPLE = next(RESULTS.glob("runs/deberta-v3-base/cola/*.full-table4.s6.*.json"))
# Fields that records of earlier versions lack.
LATER = {"disk_bytes", "flops", "peak_reserved_mb", "resumed_from", "updates", "predictions"}


@pytest.fixture
def stored(tmp_path) -> Path:
    """A record in its place."""
    path = tmp_path / EXAMPLE.relative_to(RESULTS)
    path.parent.mkdir(parents=True)
    return Path(shutil.copy(EXAMPLE, path))


def test_what_is_written_is_read(tmp_path):
    record = records.read(EXAMPLE)
    path = tmp_path / records.place(record)
    records.write(path, record)
    assert records.read(path) == record
    assert json.loads(path.read_text()) == json.loads(EXAMPLE.read_text())
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_full_disk_loses_nothing(stored, monkeypatch):
    record, before = records.read(stored), stored.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        records.write(stored, replace(record, attempts=2))
    assert stored.read_bytes() == before
    assert [p.name for p in stored.parent.iterdir()] == [stored.name]


def put(content: dict, *keys_and_value) -> None:
    """Set a value at a path of keys."""
    *keys, last, value = keys_and_value
    for key in keys:
        content = content[key]
    content[last] = value


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (["score", 9885.0], "score='9885.0': Input should be less than or equal to 100"),
        (["score", "66"], "score='66': Input should be a valid number"),
        (["score", 1.0], "score is not that of the best evaluation"),
        (["history", 1, "score", 1.0], "score 1.0 at step 200: its metrics give "),
        (["history", 1, "metrics_halves", 0, "score", 1.0], "score 1.0 at step 200: its metrics give "),
        (["history", 0, "step", 300], "history is not in the order of its steps"),
        (["history", 0, "step", 1.5], "history.0.step='1.5': Input should be a valid integer"),
        (["history", 0, "eval_s", -1.0], "history.0.eval_s='-1.0': Input should be greater than or equal to 0"),
        (["history", []], "it is done and has no evaluation with a score"),
        (["losses", 0, [1, float("inf")]], "Infinity is not a number"),
        (["history", 0, "loss", float("nan")], "NaN is not a number"),
        (["status", "running"], "status running: give done or failed"),
        (["status", "failed"], "a failed run has an error"),
        (["error", "no"], "a failed run has an error, a finished one has none"),
        (["params", "head", 0], "params.trainable is not adapter + head"),
        (["started", "yesterday"], "started='yesterday': String should match pattern"),
        (["surplus", 1], "surplus='1': Unexpected keyword argument"),
        (["schema_version", 3], "schema_version='3': Input should be 2"),
        (["seed", 7], "seed is not that of its config"),
        (["task", "rte"], "task is not that of its config"),
        (["config", "train", "lr", 0.5], "its content is that of cell cola.deberta-v3-base.full-table4.s6."),
        (["data_source", "identity", "revision", "main"], "its content is that of cell "),
        (["config", "seed", None], "seed is not that of its config"),
        (["config", "task", {}], "config lacks 'name'"),
        (["config", []], "config='[]': Input should be an object"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(stored, change, reason):
    content = json.loads(stored.read_text())
    put(content, *change)
    stored.write_text(json.dumps(content))
    with pytest.raises(UserError, match="is not a record of this cell") as caught:
        records.read(stored)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", [field.name for field in fields(Record)])
def test_no_field_may_be_missing_but_those_that_older_records_lack(stored, key):
    content = json.loads(stored.read_text())
    content.pop(key, None)
    stored.write_text(json.dumps(content))
    found = records.examine(stored)
    if key in LATER:
        assert getattr(found, key) is None
    else:
        assert isinstance(found, records.BadRecord)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "1", '{"cell": "c"}', "\xff", "[" * 100_000, '{"cell": ' + "9" * 6000 + "}"]
)
def test_a_file_that_is_no_record_is_named(stored, text):
    stored.write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=f"{stored.name} is not a record of this cell"):
        records.read(stored)


@given(cut=st.integers(0, len(EXAMPLE.read_bytes()) - 3))
def test_a_truncated_record_is_never_taken_for_one(tmp_path_factory, cut):
    path = tmp_path_factory.getbasetemp() / "cut.json"
    path.write_bytes(EXAMPLE.read_bytes()[:cut])
    assert isinstance(records.examine(path), records.BadRecord)


def test_another_cells_content_is_refused(stored):
    other = stored.with_name("cola.deberta-v3-base.dcft-k8.s6.0123456789.json")
    shutil.copy(stored, other)
    moved = stored.parents[1] / "rte" / stored.name
    moved.parent.mkdir()
    shutil.copy(stored, moved)
    good, bad = records.read_all(stored.parents[3])
    assert list(good) == [stored.relative_to(stored.parents[3]).as_posix()]
    assert [one.path for one in bad] == [other, moved]
    assert bad[0].reason == f"it holds cell {stored.stem}"
    assert bad[1].reason.startswith("it belongs into runs/deberta-v3-base/cola/")


def test_an_old_record_gets_todays_form_and_name(script, tmp_path):
    old = tmp_path / "results" / "runs" / "tiny-bert" / "toy_cls" / OLD.name
    old.parent.mkdir(parents=True)
    shutil.copy(OLD, old)
    before = json.loads(OLD.read_text())
    assert script("records", "check").returncode == 1
    done = script("records", "upgrade")
    assert done.returncode == 0, done.stderr
    [path] = old.parent.iterdir()
    record = records.read(path)
    assert path.stem != OLD.stem
    kept = ("score", "metrics", "history", "config", "recipe_source", "started", "seed", "time")
    assert {key: json.loads(path.read_text())[key] for key in kept} == {key: before[key] for key in kept}
    assert record.data_source.rows == before["data_source"]["rows"]
    assert record.collapsed == before["collapsed"]
    assert script("records", "check").returncode == 0
    assert script("records", "upgrade").stdout == ""


def test_an_old_record_has_the_name_that_its_settings_have_today(cell):
    settings = ["task=toy_cls", "model=tiny-bert", "dropout=torch", *SHORT]  # the only one when it was written
    assert from_json(OLD.read_text()).cell == cell(*settings).cell


def test_check_lists_every_bad_record(script, tmp_path):
    shutil.copytree(RESULTS, tmp_path / "results")
    assert script("records", "check").stdout.splitlines()[-1] == "60 records, 0 bad"
    good, copied, broken = sorted((tmp_path / "results").glob("runs/*/cola/*table4*"))[:3]
    shutil.copy(good, copied)
    broken.write_text(broken.read_text()[:500])
    done = script("records", "check")
    assert done.returncode == 1
    shown = [line.partition(": ")[0] for line in done.stdout.splitlines()]
    assert shown[:-2] == [str(path.relative_to(tmp_path)) for path in (copied, broken)]


def test_a_misspelt_folder_is_not_a_good_one(script):
    done = script("records", "check", "--results", "reslts")
    assert (done.returncode, done.stderr) == (1, "error: --results reslts is no folder; give the one that has runs/\n")


def test_a_folder_in_a_file_s_place_is_named(tmp_path):
    with pytest.raises(UserError, match="is a folder; give a file"):
        atomic.write(tmp_path, "text")
    assert not any(tmp_path.iterdir())


def test_the_committed_schema_is_that_of_the_type():
    """`python scripts/records.py schema > docs/record.schema.json` writes it."""
    assert (ROOT / "docs" / "record.schema.json").read_text() == json_schema()


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
    begun = recording.begin(config, again, processes=1)
    failed = recording.finish(begun, Result(), "it did not work")
    records.write(config.record_path, failed)
    assert records.status(config.record_path, config.work_dir) == "failed"
    log = {"eval_score": 50.0, "eval_metrics": {"accuracy": 50.0}, "eval_loss": 1.0, "eval_collapsed": False}
    log |= {"step": 1, "epoch": 1.0, "eval_metrics_halves": [{"accuracy": 50.0, "score": 50.0}] * 2}
    done = recording.finish(begun, Result(logs=[log | {"eval_s": 1.0, "train_s": 1.0}]), None)
    records.write(config.record_path, done)
    assert records.status(config.record_path, config.work_dir) == "done"
    config.record_path.write_text(config.record_path.read_text()[:-9])
    assert records.status(config.record_path, config.work_dir) == "invalid"
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
