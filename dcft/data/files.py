"""Readers of the official GLUE and SQuAD files, quirks included. A malformed row is an error with file and line."""

import json
import logging
from pathlib import Path
from typing import Any

from dcft.config.schema import Task
from dcft.errors import UserError

log = logging.getLogger(__name__)


def read(task: Task, split: str, path: Path) -> list[dict[str, Any]]:
    """The rows of one split, in the order of the file.

    Columns are `text`, `pair` (if the task has pairs) and `label` for GLUE; `id`, `question`, `context` and `answers`
    for SQuAD.

    Args:
        task: gives the format, the header and the labels.
        split: name of the split. Only "train" may have malformed rows, `task.malformed_rows` at most.
        path: the official file.

    Raises:
        UserError: if the file does not have the task's format; names the file and the line.
    """
    try:
        if task.format == "squad":
            return _read_squad(path)
        return _read_tsv(task, path, allowed=task.malformed_rows if split == "train" else 0)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start})") from error


def _read_tsv(task: Task, path: Path, allowed: int) -> list[dict[str, Any]]:
    # Not the csv module: quotes are text here (MRPC), only a line feed ends a row, and MRPC has a byte order mark.
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        lines = [line.rstrip("\r\n").split("\t") for line in file]
    header = task.header or (lines[0] if lines else [])
    missing = [column for column in task.columns.values() if column not in header]
    if missing:
        raise UserError(f"{path}:1 has no column {missing[0]!r}; its columns are {', '.join(header)}")
    index = {name: header.index(column) for name, column in task.columns.items()}
    rows, malformed = [], []
    first = 1 if task.header else 2
    for number, line in enumerate(lines[first - 1 :], start=first):
        try:
            rows.append(_row(task, line, index, len(header)))
        except ValueError as error:
            malformed.append(number)
            if len(malformed) > allowed:
                raise UserError(f"{path}:{number} is malformed: {error}") from error
    if not rows:
        raise UserError(f"{path} has no rows")
    if malformed:
        log.warning("note: %s: dropped the rows known to be malformed (lines %s)", path, ", ".join(map(str, malformed)))
    return rows


def _row(task: Task, line: list[str], index: dict[str, int], width: int) -> dict[str, Any]:
    if len(line) != width:
        raise ValueError(f"{len(line)} columns instead of {width}")
    row = {name: line[i] for name, i in index.items()}
    if "label" in row:  # test sets have none
        row["label"] = _label(task, row["label"])
    return row


def _label(task: Task, text: str) -> float | int:
    if task.kind == "regression":
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"score {text!r} is not a number") from None
    if text not in task.labels:
        raise ValueError(f"label {text!r} is not one of {', '.join(task.labels)}")
    return task.labels.index(text)


def _read_squad(path: Path) -> list[dict[str, Any]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno} is not JSON: {error.msg}") from error
    rows = []
    try:
        for article in document["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    rows.append(_question(paragraph["context"], question))
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} is not a SQuAD file: question {len(rows) + 1} lacks {error}") from error
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    if not rows:
        raise UserError(f"{path} has no questions")
    return rows


def _question(context: str, question: dict[str, Any]) -> dict[str, Any]:
    answers = question["answers"]
    for answer in answers:
        start, text = answer["answer_start"], answer["text"]
        if context[start : start + len(text)] != text:
            raise ValueError(f"question {question['id']}: the paragraph does not say {text!r} at {start}")
    return {
        "id": question["id"],
        "question": question["question"],
        "context": context,
        "answers": {
            "text": [answer["text"] for answer in answers],
            "answer_start": [answer["answer_start"] for answer in answers],
        },
    }
