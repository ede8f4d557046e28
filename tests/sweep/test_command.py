"""A table as a sweep, by its real command: it runs what is missing, goes on past failures, judges by the records."""

import json
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT, SHORT

TABLE = ["table=demo", "model=tiny-bert", *SHORT]
PAIR = [*TABLE, "only=toy_cls"]  # three cells
FAULTS = {"PYTHONPATH": str(ROOT / "tests" / "sweep" / "dead_worker"), "FAULT_CELL": "toy_cls.tiny-bert.dcft-k8"}


def stored(tmp_path):
    return {path: path.read_bytes() for path in (tmp_path / "outputs" / "demo" / "runs").glob("*/*/*.json")}


def test_a_table_runs_what_is_missing(command, tmp_path):
    first = command(*PAIR)
    assert first.returncode == 0, first.stderr
    assert "3 cells, 0 done, 3 to run; estimate: about " in first.stdout
    assert " s, one after the other (a guess from FLOPs and this machine's matrix rate)\n" in first.stdout
    assert "\n3 done\n" in first.stdout
    records = stored(tmp_path)
    assert len(records) == 3

    gone = sorted(records)[0]
    gone.unlink()
    plan = command(*PAIR, "dry=true")
    assert plan.returncode == 0
    assert "3 cells, 2 done, 1 to run; estimate: about" in plan.stdout
    assert "a guess" not in plan.stdout
    assert not gone.exists()
    second = command(*PAIR)
    assert second.returncode == 0, second.stderr
    assert "3 cells, 2 done, 1 to run" in second.stdout
    again = stored(tmp_path)
    assert {path for path in records if again[path] != records[path]} == {gone}
    assert json.loads(again[gone])["score"] == json.loads(records[gone])["score"]


@pytest.mark.slow
def test_failing_cells_are_listed_with_their_commands(command, script):
    table = [*PAIR, "methods=dcft", "train.lr=1e30", "train.warmup=0", "train.clip=1e30"]
    failed = command(*table)
    assert failed.returncode == 1
    assert "\n2 failed\n" in failed.stdout
    assert failed.stdout.count("missing: python run.py task=toy_cls ") == 2
    assert failed.stdout.count("nan at step") >= 2
    assert "Traceback" not in failed.stderr
    assert "2 to run, 2 of them failed" in script("run", *table, "dry=true").stdout


def test_filters_choose_what_runs(script, tmp_path):
    plan = script("run", *TABLE, "only=toy_cls,toy_sim", "methods=lora", "dry=true")
    assert "2 cells, 0 done, 2 to run" in plan.stdout
    for setting, line in (
        ("only=rte", "only=rte is not in this table; give some of toy_sim, toy_cls"),
        ("methods=full", "methods=full is not in this table; give some of dcft, lora"),
    ):
        refused = script("run", *TABLE, setting)
        assert (refused.returncode, refused.stderr) == (1, f"error: {line}\n")
    assert stored(tmp_path) == {}


@pytest.mark.slow
def test_a_cell_that_kills_its_worker_is_tried_alone_and_named(command, tmp_path):
    ended = command(*PAIR, **FAULTS)
    assert ended.returncode == 1
    assert ended.stdout.count("once more, alone: python run.py task=toy_cls ") == 1
    assert "\n2 done, 1 interrupted\n" in ended.stdout
    (missing,) = [line for line in ended.stdout.splitlines() if line.startswith("missing: ")]
    assert " kernel=8 " in missing
    assert "its process was ended by SIGKILL" in ended.stdout.split(missing)[1]
    assert len(stored(tmp_path)) == 2
    repaired = command(*PAIR)  # the fault is gone
    assert repaired.returncode == 0, repaired.stderr
    assert "3 cells, 2 done, 1 to run, 1 of them interrupted" in repaired.stdout


@pytest.mark.slow
def test_a_killed_sweep_goes_on_with_what_is_missing(command, tmp_path):
    """SIGKILL to the sweep alone, after its first record: its process ends the cell that it is at."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), *PAIR],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while not stored(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    left = stored(tmp_path)
    assert len(left) < 3
    second = command(*PAIR)
    assert second.returncode == 0, second.stderr
    assert "3 cells, 1 done" in second.stdout or "3 cells, 2 done" in second.stdout
    done = stored(tmp_path)
    assert len(done) == 3
    assert all(done[path] == content for path, content in left.items())


def test_data_that_are_not_there_stop_only_their_cells(command, tmp_path):
    glue = tmp_path / "data" / "glue" / "RTE"
    glue.mkdir(parents=True)
    head = "index\tsentence1\tsentence2\tlabel\n"
    rows = [f"{i}\tA man walks.\tSomebody walks.\t{('entailment', 'not_entailment')[i % 2]}\n" for i in range(40)]
    for split in ("train", "dev"):
        (glue / f"{split}.tsv").write_text(head + "".join(rows))
    arguments = ["table=table4", "model=tiny-deberta", "data.root=data", "methods=full", *SHORT]
    ended = command(*arguments, "only=rte,cola")
    assert ended.returncode == 1
    missing = "cannot run 1 cell: data/glue/CoLA/train.tsv does not exist; data.root=data must hold the official files"
    assert missing in ended.stdout
    assert "2 cells, 0 done, 1 to run, 1 cannot run" in ended.stdout
    assert "1 cannot run, 1 done" in ended.stdout
    nothing = command(*arguments, "only=cola")
    assert nothing.returncode == 1
    assert nothing.stderr.startswith("error: nothing to run: data/glue/CoLA/train.tsv does not exist")


def test_without_a_way_to_the_hub_nothing_starts(command, tmp_path):
    ended = command("table=table2", HF_HOME=str(tmp_path / "hub"))
    assert ended.returncode == 1
    assert ended.stderr.startswith(
        "error: nothing to run: model=deberta-v2-xxlarge: microsoft/deberta-v2-xxlarge is not"
    )
    assert "give model.path=FOLDER of a saved model, or model=minilm-l6" in ended.stderr
    assert "\n" not in ended.stderr.strip()
    assert not (tmp_path / "outputs").exists()
