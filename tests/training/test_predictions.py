"""What a run keeps of its answers: which evaluations, that its scores follow from them, and after an interruption."""

import json
from pathlib import Path

import pytest

from dcft.results import predictions, protocols, records
from dcft.training import answers, prepare
from dcft.training import run as training
from tests.conftest import SHORT

RUN = ["model=tiny-bert", *SHORT, "train.max_steps=8", "train.lr=1e-2"]


def kept(config):
    """The record of a run, and its answers by step."""
    record = records.read(training.run_cell(config))
    return record, predictions.read(Path(config.results.dir), record)


@pytest.mark.parametrize("task", ["toy_cls", "toy_sim", "toy_qa"])
def test_scores_follow_from_the_answers(cell, script, task):
    config = cell(f"task={task}", *RUN)
    record, tables = kept(config)
    chosen = {protocols.choose(record.history, name).step for name in protocols.PROTOCOLS}
    assert set(tables) == set(record.predictions.steps) == chosen
    assert {len(table) for table in tables.values()} == {40}
    assert script("records", "check").stdout.splitlines()[-2:] == ["predictions: 1 agree", "1 records, 0 bad"]


def test_a_score_that_its_answers_do_not_give_is_named(cell, script):
    config = cell("task=toy_cls", *RUN)
    record, _ = kept(config)
    wrong = json.loads(config.record_path.read_text())
    wrong["history"] = [entry for entry in wrong["history"] if entry["step"] == record.predictions.steps[0]]
    for entry in (wrong, *wrong["history"]):
        entry["score"] = entry["metrics"]["accuracy"] = 12.5
        entry["metrics_halves"] = record.metrics_halves
    config.record_path.write_text(json.dumps(wrong))
    done = script("records", "check")
    assert done.returncode == 1
    assert f"score at step {record.predictions.steps[0]} is 12.5; its predictions give " in done.stdout


def test_a_changed_file_is_refused_and_a_missing_one_is_none(cell, script):
    config = cell("task=toy_cls", *RUN)
    kept(config)
    content = config.predictions_path.read_bytes()
    config.predictions_path.write_bytes(content[:-1] + b"?")
    done = script("records", "check")
    assert done.returncode == 1
    assert "is not the file that its record names (SHA-256); restore it from git or delete it" in done.stdout
    config.predictions_path.unlink()
    assert "predictions: 1 have none\n" in script("records", "check").stdout


def test_nothing_is_kept_if_not_wanted(cell):
    config = cell("task=toy_cls", *RUN, "eval.keep_predictions=false")
    record, tables = kept(config)
    assert record.predictions is tables is None
    assert not config.predictions_path.exists()
    assert config.cell == cell("task=toy_cls", *RUN).cell, "the same experiment"


def test_an_interrupted_run_keeps_what_an_uninterrupted_one_does(cell, tmp_path, monkeypatch):
    """Interrupted in the third of four evaluations, of which the first is the best."""
    config = cell("task=toy_cls", *RUN)
    kept(config)
    expected = config.predictions_path.read_bytes()
    (tmp_path / "results").rename(tmp_path / "first")
    calls = iter(range(1, 100))

    class Interrupted(answers.Keeper):
        def __call__(self, *arguments):
            super().__call__(*arguments)
            if next(calls) == 3:  # before its checkpoint
                raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "Keeper", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.run_cell(config)
    assert kept(config)[0].attempts == 2
    assert config.predictions_path.read_bytes() == expected
    assert not answers.folder(config.work_dir).exists()
