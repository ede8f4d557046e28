"""The official files with their quirks, read exactly or refused by line."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("sst2", "sentence\tlabel\na\0b\t1\n", r"file\.tsv:2 has a byte of value 0"),
        ("sst2", "sentence\tlabel\na\t1\n" + "x" * 1_000_001, r"file\.tsv:3 is longer than 1,000,000 bytes"),
        ("sst2", "sentence\tsentence\tlabel\na\tb\t1\n", r"file\.tsv:1 has more than one column 'sentence'"),
        ("sst2", "sentence\tlabel\na\t" + "1" * 1000, r"label '1{27}\.\.\.1{28}' is not one of 0, 1$"),
    ],
)
def test_malformed_rows_are_named_by_line(tmp_path, task, text, message):
    with pytest.raises(UserError, match=message):
        read(task, tmp_path, text)


@pytest.mark.parametrize(
    ("score", "message"),
    [(text, "is not a number") for text in ("high", "", "nan", "inf", "1e400", "1_0", " 1", "٣")]
    + [(text, "is not between 0 and 5") for text in ("-0.1", "5.01", "1e1")],
)
def test_a_score_that_is_none_is_named(tmp_path, score, message):
    head = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
    with pytest.raises(UserError, match=f":2 is malformed: score '{score}' {message}"):
        read("stsb", tmp_path, head + f"0\tg\tf\ty\t0\tn\tn\tA\tB\t{score}\n")


def test_an_empty_text_is_read_and_named(tmp_path, caplog):
    assert read("sst2", tmp_path, "sentence\tlabel\na\t1\n\t0\n")[1] == {"text": "", "label": 0}
    assert "rows have an empty text (lines 3)" in caplog.text


def test_rows_known_to_be_malformed_are_dropped_and_named(tmp_path, caplog):
    head = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
    good, bad = "1\t1\t2\ta\tb\t1\n", "2\t1\t2\ta\n"
    assert len(read("qqp", tmp_path, head + good + bad + good)) == 2
    assert "lines 3" in caplog.text
    with pytest.raises(UserError, match=":5 is malformed"):
        read("qqp", tmp_path, head + bad * 4 + good)
    with pytest.raises(UserError, match=":2 is malformed"):
        read("qqp", tmp_path, head + bad, split="dev")
    with pytest.raises(UserError, match=":2 is malformed: label 'yes'"):  # not cut short
        read("qqp", tmp_path, head + good.replace("\t1\n", "\tyes\n") + good)


def test_text_that_is_not_utf_8_is_named(tmp_path):
    with pytest.raises(UserError, match=r"file\.tsv:2 is not UTF-8 text: .* at byte 4 of the line"):
        read("sst2", tmp_path, "sentence\tlabel\ncafé\t1\n", encoding="latin-1")


TEXT = st.text(st.characters(exclude_characters="\t\n\0", exclude_categories=["Cs"]))


@given(rows=st.lists(st.tuples(TEXT, st.sampled_from("01")), min_size=1))
def test_any_text_is_read_as_it_was_written(tmp_path_factory, rows):
    lines = "".join(f"{text}\t{label}\n" for text, label in rows)
    found = read("sst2", tmp_path_factory.getbasetemp(), f"sentence\tlabel\n{lines}")
    assert [(row["text"], str(row["label"])) for row in found] == rows


@given(content=st.binary())
@pytest.mark.parametrize("task", ["cola", "squad_v2"])
def test_any_bytes_are_rows_or_one_line(tmp_path_factory, task, content):
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"^{path}.*$"):
        raise UserError(f"{path}: {files.read(configure(f'task={task}').task, 'train', path)}")


def squad(tmp_path, document, task="squad_v2"):
    path = tmp_path / "train.json"
    text = document if isinstance(document, str) else json.dumps(document)
    path.write_bytes(text.encode())
    return files.read(configure(f"task={task}").task, "train", path)


def paragraph(*questions, **changes):
    """A file of one paragraph, with a good question that is changed, or with these."""
    question = {"id": "q1", "question": "Where?", "answers": [{"text": "Paris", "answer_start": 13}]} | changes
    return {
        "data": [{"title": "t", "paragraphs": [{"context": "She lives in Paris.", "qas": questions or [question]}]}]
    }


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_squad_questions(tmp_path, mark):
    assert squad(tmp_path, mark + json.dumps(paragraph())) == [
        {
            "id": "q1",
            "question": "Where?",
            "context": "She lives in Paris.",
            "answers": {"text": ["Paris"], "answer_start": [13]},
        }
    ]


def answer(text="Paris", start=13):
    return {"answers": [{"text": text, "answer_start": start}]}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('{"data": [\n', r":2 is not JSON: Expecting value at character 1"),
        (paragraph(**answer(start=3)), "question 'q1': the paragraph does not say 'Paris' at 3"),
        (paragraph(**answer(start=-6)), "question 'q1': answers.0.answer_start=-6: Input should be greater than or"),
        (paragraph(**answer(start=13.0)), "question 'q1': answers.0.answer_start=13.0: .* valid integer"),
        (paragraph(**answer(start=True)), "question 'q1': answers.0.answer_start=True: .* valid integer"),
        (paragraph(**answer("", 10**12)), "question 'q1': the paragraph does not say '' at 1000000000000"),
        (json.dumps(paragraph()).replace("13", "9" * 6000), "question 'q1': answers.0.answer_start=inf: "),
        (paragraph(**answer("P" * 5000)), r"question 'q1': the paragraph does not say 'P{27}\.\.\.P{28}' at 13"),
        (paragraph(question=None), "question 'q1': question=None: Input should be a valid string"),
        (paragraph(question="\ud800"), r"question 'q1': question='\\ud800': .* unicode string"),
        (paragraph(question="x" * 1_000_001), "question 'q1': question='xxx.* at most 1000000 characters"),
        (paragraph(id=7), "question 7: id=7: Input should be a valid string"),
        (paragraph({"id": "q"}), "question 'q': question: Field required"),
        (paragraph({}), r"data\.0\.paragraphs\.0\.qas\.0\.id: Field required"),
        (paragraph(*paragraph()["data"][0]["paragraphs"][0]["qas"] * 2), "question 'q1': its id is used twice"),
        ('{"data": [], "data": []}', "an object has 'data' twice"),
        ("[" * 100_000, "lie too deep in each other"),
        ({"data": []}, "has no questions"),
        ([], "is not a SQuAD file: the file=.*: Input should be a valid dictionary"),
    ],
)
def test_broken_squad_files_are_named(tmp_path, document, message):
    with pytest.raises(UserError, match=rf"train\.json.*{message}") as caught:
        squad(tmp_path, document)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_only_squad_v2_has_questions_without_answer(tmp_path):
    assert squad(tmp_path, paragraph(answers=[]))[0]["answers"] == {"text": [], "answer_start": []}
    with pytest.raises(UserError, match="question 'q1': it has no answer"):
        squad(tmp_path, paragraph(answers=[]), "squad_v1")


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
