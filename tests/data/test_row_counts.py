"""Rows of official files, test sets included, are counted by the suite's one reader."""

import json

import pytest

from dcft.data.row_counts import count
from dcft.errors import UserError
from tests.conftest import configure


def write(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def test_rows_are_counted_by_split_with_the_test_set_beside_dev(tmp_path):
    write(
        tmp_path, "glue/CoLA/train.tsv", 'x\t1\t*\ta "quoted\nx\t0\t*\tb\r\nx\t1\t\tlast'
    )  # no header, quotes are text
    write(tmp_path, "glue/CoLA/test.tsv", "index\tsentence\n0\ta\n1\tb\n")
    assert count(configure("task=cola").task, tmp_path) == {"train": 3, "test": 2}


def test_rows_known_to_be_cut_short_are_not_counted(tmp_path):
    heading = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
    write(tmp_path, "glue/QQP/train.tsv", heading + "1\t2\t3\ta\tb\t1\n1\t2\tcut\n")
    assert count(configure("task=qqp").task, tmp_path) == {"train": 1}


def test_both_test_sets_of_mnli_are_counted(tmp_path):
    for name, rows in (("matched", 1), ("mismatched", 2)):
        write(tmp_path, f"glue/MNLI/test_{name}.tsv", "sentence1\tsentence2\n" + "a\tb\n" * rows)
    assert count(configure("task=mnli").task, tmp_path) == {"test": 1, "test_mismatched": 2}


def test_questions_of_squad_are_counted(tmp_path):
    questions = [{"id": str(number), "question": "?", "answers": []} for number in range(3)]
    document = {"data": [{"paragraphs": [{"context": "", "qas": part} for part in (questions[:2], questions[2:])]}]}
    write(tmp_path, "squad/dev-v2.0.json", json.dumps(document))
    assert count(configure("task=squad_v2").task, tmp_path) == {"dev": 3}


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="data root .*nowhere does not exist"):
        count(configure("task=cola").task, tmp_path / "nowhere")
