"""The official files with their quirks, read exactly or refused by line."""

import json
import os
from pathlib import Path

import pytest

from dcft.data import files
from dcft.errors import UserError
from tests.conftest import configure

CONFIGS = {
    name: configure(f"task={name}").task for name in ("cola", "mrpc", "stsb", "rte", "mnli", "qqp", "sst2", "qnli")
}


def read(task, tmp_path, text, split="train", encoding="utf-8"):
    path = tmp_path / "file.tsv"
    path.write_bytes(text.encode(encoding))
    return files.read(CONFIGS[task], split, path)


def test_cola_has_no_header(tmp_path):
    rows = read("cola", tmp_path, "gj04\t1\t\tOur friends won't buy this.\ngj04\t0\t*\tThey drank the pub.\n")
    assert rows == [
        {"text": "Our friends won't buy this.", "label": 1},
        {"text": "They drank the pub.", "label": 0},
    ]


def test_mrpc_has_a_mark_and_quotes_that_are_text(tmp_path):
    text = '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t1\t2\t"A half quote .\tHe said " no .\n'
    assert read("mrpc", tmp_path, text) == [{"text": '"A half quote .', "pair": 'He said " no .', "label": 1}]


def test_stsb_has_further_columns_and_numbers(tmp_path):
    head = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore"
    rows = read("stsb", tmp_path, f"{head}\r\n0\tg\tf\ty\t0\tn\tn\tA man.\tA boy.\t3.250\r\n")
    assert rows == [{"text": "A man.", "pair": "A boy.", "label": 3.25}]


def test_named_labels_follow_the_hub_s_order(tmp_path):
    text = "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tnot_entailment\n1\ta\tb\tentailment\n"
    assert [row["label"] for row in read("rte", tmp_path, text)] == [1, 0]
    head = "index\tpromptID\tpairID\tgenre\tsentence1\tsentence2\tlabel1\tgold_label\n"
    assert read("mnli", tmp_path, head + "0\t0\t0\tg\ta\tb\tneutral\tcontradiction\n")[0]["label"] == 2


def test_a_line_ends_at_the_line_feed_only(tmp_path):
    text = "sentence\tlabel\none\rtwo\x0bthree\u2028four\t1\n"
    assert read("sst2", tmp_path, text) == [{"text": "one\rtwo\x0bthree\u2028four", "label": 1}]


@pytest.mark.parametrize(
    ("task", "text", "message"),
    [
        (
            "rte",
            "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n1\ta\tb\n",
            r"file\.tsv:3 .*3 columns instead of 4",
        ),
        ("rte", "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tmaybe\n", r"file\.tsv:2 .*label 'maybe' is not one of"),
        ("rte", "index\tsentence1\tlabel\n", r"file\.tsv:1 has no column 'sentence2'"),
        ("rte", "index\tsentence1\tsentence2\tlabel\n", "has no rows"),
        ("rte", "", r"file\.tsv:1 has no column"),
        ("cola", "gj04\t1\t\n", r"file\.tsv:1 .*3 columns instead of 4"),
        ("cola", "a\t1\t\tb\n\n", r"file\.tsv:2 .*1 columns instead of 4"),
    ],
)
def test_malformed_rows_are_named_by_line(tmp_path, task, text, message):
    with pytest.raises(UserError, match=message):
        read(task, tmp_path, text)


def test_a_score_that_is_no_number_is_named(tmp_path):
    head = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
    with pytest.raises(UserError, match=r":2 is malformed: score 'high' is not a number"):
        read("stsb", tmp_path, head + "0\tg\tf\ty\t0\tn\tn\tA\tB\thigh\n")


def test_rows_known_to_be_malformed_are_dropped_and_named(tmp_path, caplog):
    head = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
    good, bad = "1\t1\t2\ta\tb\t1\n", "2\t1\t2\ta\n"
    assert len(read("qqp", tmp_path, head + good + bad + good)) == 2
    assert "lines 3" in caplog.text
    with pytest.raises(UserError, match=":5 is malformed"):
        read("qqp", tmp_path, head + bad * 4 + good)
    with pytest.raises(UserError, match=":2 is malformed"):
        read("qqp", tmp_path, head + bad, split="dev")


def test_text_that_is_not_utf_8_is_named(tmp_path):
    with pytest.raises(UserError, match="is not UTF-8 text"):
        read("sst2", tmp_path, "sentence\tlabel\ncafé\t1\n", encoding="latin-1")


def squad(tmp_path, document):
    path = tmp_path / "train-v2.0.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return files.read(configure("task=squad_v2").task, "train", path)


def paragraph(start=12, text="Paris"):
    question = {"id": "q1", "question": "Where?", "answers": [{"text": text, "answer_start": start}]}
    return {"data": [{"title": "t", "paragraphs": [{"context": "She lives in Paris.", "qas": [question]}]}]}


def test_squad_questions(tmp_path):
    assert squad(tmp_path, paragraph(start=13)) == [
        {
            "id": "q1",
            "question": "Where?",
            "context": "She lives in Paris.",
            "answers": {"text": ["Paris"], "answer_start": [13]},
        }
    ]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('{"data": [\n', r"train-v2\.0\.json:2 is not JSON"),
        (paragraph(start=3), "question q1: the paragraph does not say 'Paris' at 3"),
        ({"data": [{"paragraphs": [{"context": "x", "qas": [{"id": "q"}]}]}]}, "question 1 lacks 'answers'"),
        ({"data": []}, "has no questions"),
        ([], "is not a SQuAD file"),
    ],
)
def test_broken_squad_files_are_named(tmp_path, document, message):
    with pytest.raises(UserError, match=message):
        squad(tmp_path, document)


REAL = os.environ.get("DCFT_DATA_ROOT")


@pytest.mark.skipif(not REAL, reason="set DCFT_DATA_ROOT to a folder with the official GLUE files to check them all")
@pytest.mark.parametrize("task", sorted(CONFIGS))
def test_the_official_files_are_read_whole(task):
    for split, name in CONFIGS[task].files.items():
        path = Path(REAL or "", name)
        if path.is_file():
            rows = files.read(CONFIGS[task], split, path)
            assert len(rows) <= CONFIGS[task].rows[split]
            assert all(row["text"].strip() for row in rows)
