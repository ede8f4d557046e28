"""The command itself, as a user types it."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT, SHORT

RUN = ["task=toy_cls", "model=tiny-bert", *SHORT]


def test_a_run_ends_with_the_path_of_its_record(command, script, tmp_path):
    first = command(*RUN)
    assert first.returncode == 0, first.stderr
    path = tmp_path / first.stdout.splitlines()[-1]
    record = json.loads(path.read_text())
    assert record["status"] == "done"
    assert f"accuracy  {record['history'][0]['score']:.2f}" in first.stdout
    again = script("run", *RUN)  # answers from the record
    assert (again.returncode, again.stdout.splitlines()) == (0, [first.stdout.splitlines()[-1]])


def test_a_run_writes_only_where_it_says(script, tmp_path):
    done = script("run", *RUN, "results.dir=here/results", "outputs.dir=there")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"here", "there"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["task=rt"],
        ["kernle=8"],
        ["+kernle=8"],
        ["kernel=abc"],
        ["method=lora", "kernel=4"],
        ["data.root=/nowhere"],
        ["task=toy_cls", "model=tiny-bert", "kernel=7"],
        ["task=rte", "model=tiny-bert"],  # needs the Hub, which the tests do without
        ["task=toy_cls", "model=deberta-v3-base"],
        ["table=tabel1"],
        ["table=demo", "model=tiny-bert", "kernel=4"],
        ["dry=true"],
        ["recipe=printed"],
        ["task=toy_cls", "model=tiny-bert", "results.dir=/dev/null"],
    ],
    ids=" ".join,
)
def test_bad_input_is_one_line_and_leaves_nothing(script, tmp_path, arguments):
    failed = script("run", *arguments)
    assert failed.returncode == 1
    assert failed.stdout == ""
    line = failed.stderr.strip()
    assert line.startswith("error: ")
    assert "\n" not in line
    assert list(tmp_path.iterdir()) == []


def test_bad_input_of_several_cells_is_no_traceback(script, tmp_path):
    failed = script("run", "-m", "task=toy_cls,toy_pair", "model=tiny-bert", "train.lr=abc")
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1] == "error: train.lr=abc: Input should be a valid number"
    assert "Traceback" not in failed.stderr


def test_a_failed_run_says_why_and_keeps_a_record(command, tmp_path):
    failed = command(*RUN, "train.lr=1e30", "train.warmup=0", "train.clip=1e30")
    assert failed.returncode == 1
    assert re.search(r"^error: .* is nan at step \d+; try a smaller train.lr", failed.stderr, re.M)
    (path,) = tmp_path.glob("results/runs/*/*/*.json")
    assert json.loads(path.read_text())["status"] == "failed"


def test_help_is_a_page(command):
    page = command("--help").stdout
    for word in ("task: cola", "method: adalora, bitfit, dcft", "python run.py task=rte", "Exit status"):
        assert word in page


def test_the_configuration_can_be_seen_without_torch(tmp_path):
    run = [sys.executable, "-X", "importtime", str(ROOT / "run.py"), "--cfg", "job", "--resolve"]
    shown = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, env=os.environ, check=True)
    assert "lr: 0.0012" in shown.stdout
    imported = {line.rpartition("|")[2].strip() for line in shown.stderr.splitlines()}
    assert "omegaconf" in imported
    assert not {"torch", "transformers", "datasets", "peft", "pandas"} & imported
