"""Predictions of a finished cell: the record's own, again, and those for files of one's own."""

import json

import pandas as pd
import pytest

from dcft.data import toy
from dcft.inference import rows, score, trained
from dcft.results import predictions, records
from dcft.training.run import run_cell
from tests.conftest import configure
from tests.inference.conftest import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_the_score_is_the_record_s(trained_cells, kind):
    results, path = trained_cells(kind)
    for recorded, now in score.compare(trained.find(path.stem, results)).values():
        assert now == recorded


def test_predictions_are_the_kept_ones_in_words(trained_cells, script, tmp_path):
    results, path = trained_cells("dcft")
    record = records.read(path)
    assert script("predict", path.stem, "--results", results, "--output", "dev.tsv").returncode == 0
    shown = pd.read_csv(tmp_path / "dev.tsv", sep="\t")
    words = record.config["task"]["labels"]
    best = max(record.history, key=lambda entry: entry.score)
    kept = predictions.read(results, record)[best.step].to_pandas()
    assert shown["prediction"].tolist() == [words[number] for number in kept["prediction"]]
    assert shown["label"].tolist() == [words[number] for number in kept["label"]]
    assert (shown.filter(like="probability").sum(axis=1) - 1).abs().max() < 1e-9
    assert (shown.filter(like="probability").idxmax(axis=1) == "probability " + shown["prediction"]).all()


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl"])
def test_a_file_of_one_s_own_is_predicted_with_and_without_labels(trained_cells, script, tmp_path, suffix):
    results, path = trained_cells("dcft")
    source = trained.find(path.stem, results)
    task, dev = source.config.task, rows.of_split(source.config, "dev")["dev"].to_pandas().head(5)
    dev["label"] = [task.labels[number] for number in dev["label"]]
    frame = dev.rename(columns=task.columns)
    mine = tmp_path / f"mine{suffix}"
    columns = []
    for given in (frame, frame.drop(columns=task.columns["label"])):
        mine.write_text(
            given.to_csv(sep="\t", index=False)
            if suffix == ".tsv"
            else given.to_json(orient="records", lines=True, force_ascii=False)
        )
        done = script("predict", path, "--results", results, "--file", mine, "--output", "out.jsonl")
        assert done.returncode == 0, done.stderr
        columns.append(pd.read_json(tmp_path / "out.jsonl", lines=True))
    labelled, unlabelled = columns
    assert labelled["label"].tolist() == dev["label"].tolist()
    assert "label" not in unlabelled
    pd.testing.assert_frame_equal(labelled.drop(columns="label"), unlabelled)


def test_questions_are_answered_in_the_official_form(trained_cells, script, tmp_path):
    results, path = trained_cells("span")
    toy.write(tmp_path / "toy")
    source = trained.find(path.stem, results)
    content = json.loads((tmp_path / "toy" / source.config.task.files["dev"]).read_text())
    questions = [q for article in content["data"] for paragraph in article["paragraphs"] for q in paragraph["qas"]]
    for question in questions:
        del question["answers"]
    (tmp_path / "mine.json").write_text(json.dumps(content))
    folder = source.folder.parent  # a cell's folder names it as well
    done = script("predict", folder, "--results", results, "--file", "mine.json", "--output", "answers.json")
    assert done.returncode == 0, done.stderr
    assert list(json.loads((tmp_path / "answers.json").read_text())) == [question["id"] for question in questions]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nothing"], "no record in .* has a name that begins so"),
        (["toy_pair", "--split", "test"], "has no test set that is open to all"),
        (["toy_pair", "--output", "x.csv"], "x.csv: give a file whose name ends in .tsv, .jsonl, .json"),
        (["toy_pair", "--file", "missing.tsv"], "missing.tsv cannot be read"),
        (["toy_pair", "--file", "short.tsv"], "short.tsv:1 has no column 'sentence2'"),
        (["toy_pair", "--file", "short.jsonl"], "short.jsonl:2 is malformed: sentence2=None is not a text"),
        (["toy_pair", "--file", "bad.jsonl"], "bad.jsonl:1 is malformed: "),
    ],
)
def test_what_cannot_be_predicted_is_one_line(trained_cells, script, tmp_path, arguments, line):
    results, _ = trained_cells("dcft")
    (tmp_path / "short.tsv").write_text("sentence1\na\n")
    (tmp_path / "short.jsonl").write_text('{"sentence1": "a", "sentence2": "b"}\n{"sentence1": "a"}\n')
    (tmp_path / "bad.jsonl").write_text("{\n")
    done = script("predict", *arguments, "--results", results)
    assert done.returncode == 1
    assert pd.Series([done.stderr]).str.contains(line).all(), done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout


def test_a_model_is_found_after_its_data_have_moved(tmp_path):
    data = tmp_path / "data"
    (data / "glue" / "RTE").mkdir(parents=True)
    for split in ("train", "dev"):
        lines = ["index\tsentence1\tsentence2\tlabel", "0\ta\tb\tentailment", "1\tb\ta\tnot_entailment"]
        (data / "glue" / "RTE" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    places = [f"{key}.dir={tmp_path}/{key}" for key in ("results", "outputs")]
    path = run_cell(configure("task=rte", "model=tiny-bert", "train.max_steps=2", f"data.root={data}", *places))
    moved = data.rename(data.with_name("moved"))
    score.compare(trained.find(path.stem, tmp_path / "results", str(moved)))


def test_a_cell_whose_model_is_gone_says_so(trained_cells, script, tmp_path):
    results, path = trained_cells("adalora")
    source = trained.find(path.stem, results)
    hidden = source.folder.rename(source.folder.with_name("hidden"))
    try:
        assert "there is no model in" in script("score", path.stem, "--results", results).stderr
    finally:
        hidden.rename(source.folder)
