"""Mutated official files: read as they are written, or refused by one line that says where. Never a wrong row."""

import gzip
import json
import os
import random
import time
from decimal import Decimal, InvalidOperation

import pytest
from pydantic_core import from_json

from dcft.data import files
from dcft.errors import UserError
from tests.conftest import configure
from tests.faults.conftest import ALL

TRIALS = 2000 if ALL else 30  # of each task
GLUE = ["cola", "mrpc", "stsb", "rte", "mnli", "qqp", "sst2", "qnli"]
TASKS = {name: configure(f"task={name}").task for name in [*GLUE, "squad_v1", "squad_v2"]}
FIELDS = (
    "|\0|nan|inf|-inf|1e400|5.001|-0.5|1_0|٣|0x1|+2|3.|1e0|2|maybe|entailment |0 |\ufeff|\x85|\u2028|\r|\x08".split("|")
)
VALUES = [
    None,
    True,
    0,
    -1,
    1.0,
    1.5,
    10**18,
    10**30,
    "",
    "x",
    "\ud800",
    "\0",
    [],
    {},
    [None],
    {"text": "x"},
    float("nan"),
]
SENTENCES = ["A man .", 'He said " no .', "Café — 日本", "b\rc", "won't\u2028end", "\x12odd", "", "long " * 40]

PROMISE = "Bad data are one line with file and place; no wrong row is read"


def tsv(task, rng):
    """A file as GLUE has it."""
    columns = task.header or [*"index genre".split(), *task.columns.values(), "more"]
    lines = [] if task.header else [columns]
    for number in range(rng.randint(1, 12)):
        row = dict.fromkeys(columns, str(number)) | {
            heading: rng.choice(SENTENCES) for heading in task.columns.values()
        }
        row[task.columns["label"]] = rng.choice(task.labels or ["0", "2.5", "3.250", "5.00"])
        lines.append([row[column] for column in columns])
    return "\n".join("\t".join(line) for line in lines).encode() + rng.choice([b"\n", b""])


def squad(task, rng):
    """A file as SQuAD has it."""
    paragraphs = []
    for p in range(rng.randint(1, 3)):
        words = [rng.choice(["Ada", "lives", "in", "Oslo", "日本", "é"]) for _ in range(9)]
        starts = [sum(len(word) + 1 for word in words[:i]) for i in range(9)]
        questions = []
        for q in range(rng.randint(1, 3)):
            spots = rng.choices(range(9), k=rng.randint(task.null_threshold is None, 3))
            answers = [{"text": words[i], "answer_start": starts[i]} for i in spots]
            questions.append(
                {"id": f"{p}-{q}", "question": "Where ?", "answers": answers, "is_impossible": not answers}
            )
        paragraphs.append({"context": " ".join(words), "qas": questions})
    return json.dumps(
        {"version": "1", "data": [{"title": "t", "paragraphs": paragraphs}]}, indent=rng.choice([None, 1])
    ).encode()


def some_bytes(content, rng):
    """Bytes flipped, inserted, deleted, moved; the file cut, packed, in another encoding."""
    at, stop = sorted(rng.choices(range(len(content) + 1), k=2))
    stop = min(stop, at + rng.choice([1, 1, 2, 8, 100]))
    noise = rng.choice(
        [rng.randbytes(rng.choice([1, 2, 50])), bytes(rng.choice([1, 300])), b"\n", b"\t", b"\r\n", b"\xff"]
    )
    return rng.choice(
        [
            lambda: content[:at] + bytes(byte ^ 1 << rng.randrange(8) for byte in content[at:stop]) + content[stop:],
            lambda: content[:at] + noise + content[at:],
            lambda: content[:at] + noise + content[stop:],
            lambda: content[:at] + content[stop:],
            lambda: content[:stop] + content[at:],
            lambda: content[:at],
            lambda: content[at:],
            lambda: content.replace(b"\n", b"\r\n"),
            lambda: b"\xef\xbb\xbf" + content,
            lambda: gzip.compress(content),
            lambda: content.decode().encode("utf-16"),
            lambda: content.decode().encode("latin-1", "replace"),
        ]
    )()


def a_field(content, rng):
    """One field of a line replaced, doubled, taken away or swapped with another."""
    lines = [line.split("\t") for line in content.decode().split("\n")]
    line = rng.choice(lines)
    at, other = (rng.randrange(len(line)) for _ in range(2))
    change = rng.randrange(4)
    if change == 0:
        line[at] = rng.choice(FIELDS)
    elif change == 1:
        line.insert(at, line[other])
    elif change == 2:
        del line[at]
    else:
        line[at], line[other] = line[other], line[at]
    return "\n".join("\t".join(line) for line in lines).encode()


def a_value(content, rng):
    """One value of the JSON replaced, taken away or doubled."""
    document = json.loads(content)
    node, places = document, []
    while isinstance(node, (dict, list)) and node and (not places or rng.random() < 0.9):
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        places.append((node, key))
        node = node[key]
    node, key = places[-1]
    change = rng.randrange(3)
    if change == 0:
        node[key] = rng.choice(VALUES)
    elif change == 1:
        del node[key]
    elif isinstance(node, list):
        node.insert(key, node[key])
    else:
        node[key] = [node[key]]
    return json.dumps(document, ensure_ascii=rng.random() < 0.9).encode("utf-8", "surrogatepass")


class Bad(Exception):
    """Where the plain reading of a file finds the first fault."""


def plain_tsv(task, content):
    """The rows by the format's description, line after line; another program than the suite's."""
    rows, header, dropped = [], task.header, 0
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for number, line in enumerate(lines[:-1] if lines[-1] == b"" else lines, start=1):
        try:
            fields = (line[:-1] if line.endswith(b"\r") else line).decode().split("\t")
        except UnicodeDecodeError:
            raise Bad(number) from None
        if b"\0" in line or len(line) >= 1_000_000:
            raise Bad(number)
        if header is None:
            header = fields
            if any(header.count(heading) != 1 for heading in task.columns.values()):
                raise Bad(number)
            continue
        if len(fields) < len(header) and dropped < task.malformed_rows:
            dropped += 1
            continue
        if len(fields) != len(header):
            raise Bad(number)
        row = {name: fields[header.index(heading)] for name, heading in task.columns.items()}
        if task.labels and row["label"] not in task.labels:
            raise Bad(number)
        row["label"] = task.labels.index(row["label"]) if task.labels else plain_score(row["label"], number)
        rows.append(row)
    return rows


def plain_score(text, number):
    try:
        score = Decimal(text)
    except InvalidOperation:
        raise Bad(number) from None
    written = text.isascii() and text.lstrip("+-")[:1].isdigit() and not set(text) & set("_ \r")
    if not (written and score.is_finite() and 0 <= score <= 5):
        raise Bad(number)
    return float(score)


def plain_squad(task, content):
    """The questions, by another parser of JSON, which reads half characters nowhere, not even in a title."""
    rows = []
    content = content.removeprefix(b"\xef\xbb\xbf").replace(b"\\ud800", b"half")
    for article in from_json(content)["data"]:
        for paragraph in article["paragraphs"]:
            context = paragraph["context"]
            for question in paragraph["qas"]:
                name, text, answers = question["id"], question["question"], question["answers"]
                assert {type(name), type(text), type(context)} == {str}
                assert all(type(a["answer_start"]) is int and type(a["text"]) is str for a in answers)
                assert all(context[a["answer_start"] :][: len(a["text"])] == a["text"] for a in answers)
                assert all(0 <= a["answer_start"] <= len(context) for a in answers)
                assert answers or task.null_threshold is not None
                answers = {key: [answer[key] for answer in answers] for key in ("text", "answer_start")}
                rows.append({"id": name, "question": text, "context": context, "answers": answers})
    assert len({row["id"] for row in rows}) == len(rows)
    return rows


def fault_of(task, path):
    """How reading a file breaks the promise; None if it does not."""
    try:
        rows = files.read(task, "train", path)
    except UserError as error:
        line = str(error)
        if "\n" in line or not line.isprintable() or len(line) > 500 + len(str(path)):
            return f"not one short line: {line[:500]!r}"
        if task.format == "squad" or not os.path.isfile(path):
            return None if line.startswith(str(path)) else line
        try:
            rows = plain_tsv(task, path.read_bytes())
        except Bad as bad:
            return None if line.startswith(f"{path}:{bad} ") else f"line {bad} is bad: {line}"
        return f"refused without need: {line}" if rows else None
    except Exception as error:  # the fault that is looked for
        return f"{type(error).__name__}: {error}"
    try:
        expected = (plain_squad if task.format == "squad" else plain_tsv)(task, path.read_bytes())
    except (Bad, AssertionError, LookupError, TypeError, ValueError) as error:
        return f"accepted: {error!r}"
    return None if rows == expected else f"other rows: {rows} instead of {expected}"


@pytest.mark.parametrize("name", TASKS)
def test_mutated_files_are_read_as_written_or_refused_by_line(name, tmp_path, tally):
    task, path, lost = TASKS[name], tmp_path / "train.txt", []
    make, changes = (squad, (some_bytes, a_value)) if task.format == "squad" else (tsv, (some_bytes, a_field))
    for trial in range(TRIALS):
        rng = random.Random(f"{name} {trial}")
        content = make(task, rng)
        path.write_bytes(content)
        original = fault_of(task, path)
        path.write_bytes(rng.choice(changes)(content, rng))
        if fault := original or fault_of(task, path):
            kept = path.read_bytes()
            lost.append(f"trial {trial}: {fault} ({kept[:300]!r})")
    tally(
        PROMISE,
        "a mutated GLUE or SQuAD file",
        TRIALS,
        lost,
    )


@pytest.mark.parametrize(
    "content", [b"sentence\tlabel\n%s\t1\n", b'{"data": [{"paragraphs": [{"context": "%s", "qas": []}]}]}']
)
def test_a_text_of_50_million_bytes_is_an_error_within_seconds(content, tmp_path, tally):
    task = TASKS["squad_v1" if content.startswith(b"{") else "sst2"]
    path = tmp_path / "train.txt"
    path.write_bytes(content % (b"word " * 10_000_000))
    start, fault = time.perf_counter(), fault_of(task, path)
    seconds = time.perf_counter() - start
    lost = [f"{seconds:.1f} s, {fault}"] if fault or seconds > 10 else []
    tally(PROMISE, "a text of 50 MB", 1, lost)


def test_what_is_no_readable_file_is_one_line(tmp_path, tally):
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "empty").touch()
    names = ["folder", "loop", "empty", "missing", "x" * 300]
    faults = {(task, name): fault_of(TASKS[task], tmp_path / name) for task in ("sst2", "squad_v1") for name in names}
    lost = [f"{place}: {fault}" for place, fault in faults.items() if fault]
    tally(PROMISE, "no file to read", len(faults), lost)
