"""Records as data: the frame, its CSV and its Parquet, and the commands that select, show and check records."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dcft.results
from dcft.config.overrides import overrides
from dcft.results import frames, records
from dcft.training.run import run_cell
from tests.conftest import ROOT, SHORT
from tests.fixtures.change import change
from tests.fixtures.make import RESULTS

ALL_NAMES = "python scripts/records.py list --results FOLDER has all names"
HOSTILE = ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", 'a,"b"', "\u202etxt.exe")


@pytest.fixture
def results(tmp_path) -> Path:
    """A copy of the small records."""
    return shutil.copytree(RESULTS, tmp_path / "results")


def test_a_row_has_every_value_of_its_record(results):
    frame = dcft.results.frame(str(results))
    good, _ = records.read_all(results)
    assert list(frame["record"]) == list(good)
    for (_, row), (path, record) in zip(frame.iterrows(), good.items(), strict=True):
        content = json.loads((results / path).read_text())
        assert row["score"] is pd.NA if record.score is None else row["score"] == record.score
        assert row["train.lr"] == content["config"]["train"]["lr"]
        assert row["params.adapter"] == content["params"]["adapter"]
        assert row["time.train_s"] == content["time"]["train_s"]
        assert json.loads(row["task.score"]) == content["config"]["task"]["score"]
        for name, value in (content["metrics"] or {}).items():
            assert row[f"metrics.{name}"] == value
            assert row[f"metrics_halves.1.{name}"] == content["metrics_halves"][1][name]
    assert str(frame["seed"].dtype) == "Int64"
    assert str(frame["score"].dtype) == "Float64"
    assert str(frame["compile"].dtype) == "boolean"


def test_a_column_of_mixed_values_is_text():
    kinds = frames.table([{"x": True, "y": 1, "z": 1}, {"x": "gaussian", "y": 0.5}]).dtypes.astype(str)
    assert dict(kinds) == {"x": "string", "y": "Float64", "z": "Int64"}


def test_csv_and_parquet_give_the_frame_back(script, results):
    frame = dcft.results.frame(results)
    assert script("records", "export", "--parquet", "runs.parquet").returncode == 0
    pd.testing.assert_frame_equal(pd.read_parquet("runs.parquet"), frame)
    assert script("records", "export", "--csv", "runs.csv").returncode == 0
    again = pd.read_csv("runs.csv", keep_default_na=False, na_values=[""])
    assert list(again) == list(frame)
    for name in frame:
        if frame[name].notna().any():
            same = frame[name].to_numpy(dtype=object, na_value=None) == again[name].to_numpy(dtype=object)
            assert np.all(same | frame[name].isna()), name
    assert Path("runs.csv").read_text() == script("records", "export").stdout


def test_no_text_of_a_record_is_run_by_a_spreadsheet(script, results):
    def edit(content):
        content["hardware"] = {"cpu": HOSTILE[content["seed"] % 6], "=1+1": 1}

    change(results, "deberta-v3-base/cola/*full*", edit)
    change(results, "minilm-l6/toy_pair/*", lambda content: content.update(recipe_source={"train.lr": HOSTILE[4]}))
    read = pd.read_csv(io.StringIO(script("records", "export").stdout), dtype=str, keep_default_na=False)
    texts = {*read, *read.to_numpy().ravel()}
    assert "'=cmd|' /C calc'!A0" in texts
    assert "hardware.=1+1" in texts
    assert HOSTILE[4] in texts
    assert not any(text.startswith(("=", "@")) for text in texts)
    assert not any("\u202e" in text for text in texts)


def test_filters_select_by_any_column(script, results):
    everything = dcft.results.frame(results)
    for filters, chosen in (
        ([], everything),
        (["task=cola", "seed=6"], everything[(everything["task"] == "cola") & (everything["seed"] == 6)]),
        (["train.lr=1.0e-3", "data.root=null"], everything[everything["train.lr"] == 1e-3]),
        (["status=failed"], everything[everything["error"].notna()]),
    ):
        shown = script("records", "list", *filters).stdout.splitlines()
        assert [line.split()[-1] for line in shown] == list(chosen["cell"])
    line = script("records", "list", "task=cola", "seed=6", "method=full").stdout
    assert line == "done    67.64  cola.deberta-v3-base.full-table4.s6.30b6ed9b47\n"
    refused = script("records", "list", "train.momentum=1")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "no record has train.momentum" in refused.stderr
    next(results.glob("runs/*/*/*.json")).write_text("{")
    assert script("records", "list").stderr == "note: 1 files are no records; `check` names them\n"


def test_a_run_on_one_page(script, cell):
    config = cell("task=toy_cls", "model=tiny-bert", "kernel=4", *SHORT)
    record = records.read(run_cell(config))
    script("records", "list")  # takes what the run printed
    page = script("records", "show", "toy_cls").stdout
    given = overrides(record.config)
    assert {"kernel", "train.max_steps"} <= set(given)
    for key, value in given.items():
        assert f"{key}={value}" in page.splitlines()[-1]
    for entry in record.history:
        assert f"{entry.score:.2f}" in page
    for place in (config.record_path, config.predictions_path, config.work_dir / "model"):
        assert str(place.relative_to(Path.cwd())) in page
    assert "(not there)" not in page
    assert page == script("records", "show", record.cell).stdout
    by_path = script("records", "show", config.record_path, "--results", "elsewhere").stdout
    assert by_path.replace(f"{Path.cwd()}/", "") == page.replace(f"{Path.cwd()}/", "")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cola.deberta-v3-base.full", "error: 'cola.deberta-v3-base.full' begins the names of 2 cells (cola.deberta"),
        ("nothing", f"error: nothing: no record in results/runs has a name that begins so; {ALL_NAMES}\n"),
    ],
)
def test_a_name_that_is_not_one_cell_is_refused(script, results, name, reason):
    refused = script("records", "show", name)
    assert refused.returncode == 1
    assert reason.replace("'", "") in refused.stderr.replace("'", "")
    assert refused.stderr.count("\n") == 1


def test_check_names_each_copy_each_stray_and_predictions_without_a_record(script, results):
    first, second, third = sorted(results.glob("runs/*/cola/*.json"))[:3]
    copied = first.with_name("copy.json")
    stray = results / "runs" / "mine" / first.name
    stray.parent.mkdir()
    for place in (copied, stray):
        shutil.copy(first, place)
    answers = results / "predictions" / second.relative_to(results / "runs").with_suffix(".parquet")
    answers.parent.mkdir(parents=True)
    answers.touch()
    second.unlink()
    done = script("records", "check", "--results", results)
    assert done.returncode == 1
    lines = {Path(line.partition(": ")[0]): line for line in done.stdout.splitlines()[:-2]}
    assert set(lines) == {copied, stray, answers}
    for place in (copied, stray):
        assert f"{first} holds the same cell; keep one" in lines[place]
    assert "its record" in lines[answers]
    assert "is missing" in lines[answers]
    assert done.stdout.splitlines()[-1] == "59 records, 3 bad"


def test_the_committed_records_are_good(script):
    """The check that CI makes of every pull request."""
    done = script("records", "check", "--results", ROOT / "results")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["scripts/records.py", "export", "--results", RESULTS],
        ["scripts/records.py", "check", "--results", RESULTS],
        ["scripts/bench", "step", "--show", next((ROOT / "results" / "bench").glob("step-minilm*.json"))],
    ],
    ids=["export", "check", "bench"],
)
def test_a_reader_that_has_gone_ends_a_command_without_a_word(command):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_neither_the_library_nor_a_list_loads_pandas():
    code = "import sys, runpy, dcft, dcft.results\nsys.argv = ['records', 'list']\n"
    code += "runpy.run_path('scripts/records.py', run_name='__main__')\nprint('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
