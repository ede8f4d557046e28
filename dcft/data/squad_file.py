"""SQuAD's JSON files: articles of paragraphs of questions, with every answer at its place in the paragraph."""

import codecs
import json
import math
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, FailFast, Field, NonNegativeInt, TypeAdapter, ValidationError
from typing_extensions import NotRequired, TypedDict

from dcft.errors import UserError, quoted

# The longest official paragraph has a few thousand characters; a tokenizer needs 100 s for 50 million. With a limit
# pydantic refuses half characters ("\ud800"), too, which no tokenizer reads.
Text = Annotated[str, Field(max_length=1_000_000)]


class Answer(TypedDict):
    text: Text
    answer_start: NonNegativeInt  # characters of the paragraph before the answer


class Question(TypedDict):
    id: Text
    question: Text
    answers: NotRequired[Annotated[list[Answer], FailFast()]]


class Paragraph(TypedDict):
    context: Text
    qas: Annotated[list[Question], FailFast()]


class Article(TypedDict):
    paragraphs: Annotated[list[Paragraph], FailFast()]


class Document(TypedDict):
    __pydantic_config__ = ConfigDict(strict=True)

    data: Annotated[list[Article], FailFast()]


SCHEMA = TypeAdapter(Document)


def read(path: Path, always_answered: bool, labelled: bool = True) -> list[dict[str, Any]]:
    """The questions of one file, in its order: `id`, `question`, `context` and `answers`.

    Args:
        path: the file.
        always_answered: whether a question without an answer is an error, as in SQuAD v1.1.
        labelled: whether a question that does not say its answers is an error.

    Raises:
        UserError: if the file is not in SQuAD's format; names the file and the line or the question.
        OSError: if the file cannot be opened.
    """
    raw = _parse(path)
    try:
        document = SCHEMA.validate_python(raw)
    except ValidationError as error:
        raise UserError(f"{path} is not a SQuAD file: {_first(error, raw)}") from error
    rows: dict[str, dict[str, Any]] = {}
    for article in document["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                name = question["id"]
                problem = _problem(paragraph, question, always_answered)
                if name in rows:
                    problem = "its id is used twice"
                elif labelled and "answers" not in question:
                    problem = "it does not say its answers"
                if problem:
                    raise UserError(f"{path}: question {quoted(name)}: {problem}")
                rows[name] = _row(paragraph, question)
    if not rows:
        raise UserError(f"{path} has no questions")
    return list(rows.values())


def _parse(path: Path) -> Any:
    try:
        text = path.read_bytes().removeprefix(codecs.BOM_UTF8).decode()
        return json.loads(text, object_pairs_hook=_once, parse_int=_whole)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno} is not JSON: {error.msg} at character {error.colno}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line} is not UTF-8 text: {error.reason} at byte {error.start + 1}") from error
    except RecursionError as error:
        raise UserError(f"{path} is not a SQuAD file: lists or objects lie too deep in each other") from error
    except KeyError as error:
        raise UserError(f"{path} is not a SQuAD file: an object has {quoted(error.args[0])} twice") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Of a key that is there twice, Python would drop the first value and say nothing."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise KeyError(Counter(key for key, _ in pairs).most_common(1)[0][0])
    return found


def _whole(digits: str) -> float:
    """A whole number. One with too many digits for any position becomes infinite, which no position may be."""
    return int(digits) if len(digits) < 19 else math.inf


def _first(error: ValidationError, raw: Any) -> str:
    """The first thing that is wrong, and in which question or where else."""
    first = error.errors(include_url=False)[0]
    place, value, question = first["loc"], f"={quoted(first['input'])}", ""
    if len(place) > 6:
        data, article, paragraphs, paragraph, qas, number = place[:6]
        found = raw[data][article][paragraphs][paragraph][qas][number]
        if "id" in found:
            question, place = f"question {quoted(found['id'])}: ", place[6:]
    where = ".".join(map(str, place)) or "the file"
    return f"{question}{where}{'' if first['type'] == 'missing' else value}: {first['msg']}"


def _problem(paragraph: Paragraph, question: Question, always_answered: bool) -> str | None:
    for answer in question.get("answers", []):
        if not paragraph["context"].startswith(answer["text"], answer["answer_start"]):
            return f"the paragraph does not say {quoted(answer['text'])} at {answer['answer_start']}"
    if always_answered and not question.get("answers", True):
        return "it has no answer, as only questions of SQuAD v2.0 may"
    return None


def _row(paragraph: Paragraph, question: Question) -> dict[str, Any]:
    answers = question.get("answers", [])
    return {
        "id": question["id"],
        "question": question["question"],
        "context": paragraph["context"],
        "answers": {
            "text": [answer["text"] for answer in answers],
            "answer_start": [answer["answer_start"] for answer in answers],
        },
    }
