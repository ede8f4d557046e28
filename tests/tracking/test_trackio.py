"""trackio: the same names in a database of its own, without a network, and no secret on the screen."""

import json
import sqlite3
import sys

import pytest

from dcft.errors import UserError
from dcft.results import records
from dcft.tracking import names
from dcft.training import run as training
from tests.conftest import SHORT

RUN = ["task=toy_cls", "model=tiny-bert", "tracker=wandb", *SHORT]


def test_a_missing_trackio_is_named_before_anything_else(cell, monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    config = cell(*RUN[:2], "tracker=trackio", *SHORT)
    with pytest.raises(UserError, match="pip install trackio"):
        training.run_cell(config)
    assert not config.work_dir.exists()


def trackio_rows(folder, table):
    with sqlite3.connect(folder / "dcft.db") as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(f"SELECT * FROM {table}")]


@pytest.mark.slow
def test_trackio_mirrors_the_same_names_without_a_network(command, tmp_path):
    pytest.importorskip("trackio")
    arguments = [*RUN[:2], "tracker=trackio", "tracker.group=table4", *SHORT]
    shown = command(*arguments, TRACKIO_DIR=str(tmp_path / "tracks"), DISPLAY="")
    assert shown.returncode == 0, shown.stderr
    path = shown.stdout.splitlines()[-1]
    record = records.read(tmp_path / path)
    (kept,) = trackio_rows(tmp_path / "tracks", "configs")
    config = json.loads(kept["config"])
    assert kept["run_name"] == record.cell
    assert config["_Group"] == "table4"
    expected = names.config(record.config)
    assert {key: config[key] for key in expected} == expected
    logged = {}
    for row in trackio_rows(tmp_path / "tracks", "metrics"):
        for key, value in json.loads(row["metrics"]).items():
            logged.setdefault(key, {})[row["step"]] = value
    assert logged["train/loss"] == pytest.approx(dict(record.losses))
    assert logged["dev/score"] == pytest.approx({entry.step: entry.score for entry in record.history})
    whole = names.flat(names.summary(record))
    assert {key: logged[key] for key in whole} == {key: {4: value} for key, value in whole.items()}

    (tmp_path / path).unlink()
    assert command(*arguments, TRACKIO_DIR=str(tmp_path / "tracks")).returncode == 0
    assert len({row["run_id"] for row in trackio_rows(tmp_path / "tracks", "metrics")}) == 1


@pytest.mark.slow
def test_trackio_s_secret_is_never_shown(command, tmp_path):
    pytest.importorskip("trackio")
    where = {"TRACKIO_DIR": str(tmp_path / "tracks"), "TRACKIO_SERVER_URL": "127.0.0.1:9?write_token=SECRET"}
    shown = command(*RUN[:2], "tracker=trackio", *SHORT, **where)
    assert shown.returncode == 0
    assert "write_token=..." in shown.stderr  # the message that would show it has been seen
    assert "SECRET" not in shown.stdout + shown.stderr
