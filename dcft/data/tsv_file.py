"""GLUE's tab-separated files, read byte by byte as they are written.

Not by the csv module: quotes are text (MRPC), only a line feed ends a row, and MRPC begins with a byte order mark.
"""

import logging
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dcft.config.schema import Task
from dcft.errors import UserError, quoted

LONGEST_LINE = 1_000_000  # bytes; the longest official line has a few thousand
NUMBER = re.compile(r"[-+]?\d+(\.\d*)?(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)  # `float` also reads "1_0" and "nan"

log = logging.getLogger(__name__)


class _CutShort(ValueError):
    """A row with fewer columns than the header."""


def read(task: Task, path: Path, allowed: int) -> list[dict[str, Any]]:
    """The rows of one file, in its order: `text`, `pair` if the task has pairs, `label` if the file has labels.

    A row without text is read, since official files have some, and named in a note.

    Args:
        task: gives the header, the columns and the labels.
        path: the file.
        allowed: number of rows that may be cut short; they are dropped and named in a note.

    Raises:
        UserError: if the file is not in the task's format; names file and line.
        OSError: if the file cannot be opened.
    """
    lines = _lines(path)
    header = task.header or next(lines, (1, [""]))[1]
    index = _index(task, header, path)
    rows, cut_short, empty = [], [], []
    for number, line in lines:
        try:
            rows.append(row := _row(task, line, index, len(header)))
        except ValueError as error:
            cut_short += [number] if isinstance(error, _CutShort) else []
            if len(cut_short) > allowed or not isinstance(error, _CutShort):
                raise UserError(f"{path}:{number} is malformed: {error}") from error
        else:
            empty += [] if all(str(value).strip() for value in row.values()) else [number]
    if not rows:
        raise UserError(f"{path} has no rows")
    for found, said in ((cut_short, "dropped the rows known to be malformed"), (empty, "rows have an empty text")):
        if found:
            more = f" and {len(found) - 10} more" if len(found) > 10 else ""
            log.warning("note: %s: %s (lines %s%s)", path, said, ", ".join(map(str, found[:10])), more)
    return rows


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and columns of each line. A line that is too long is never held in memory."""
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), b""), start=1):
            if len(line) > LONGEST_LINE:
                raise UserError(f"{path}:{number} is longer than {LONGEST_LINE:,} bytes; get the file again")
            if b"\0" in line:
                raise UserError(f"{path}:{number} has a byte of value 0, which is no text; get the file again")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                advice = f"{error.reason} at byte {error.start + 1} of the line"
                raise UserError(f"{path}:{number} is not UTF-8 text: {advice}") from error
            yield number, text.removesuffix("\n").removesuffix("\r").split("\t")


def _index(task: Task, header: list[str], path: Path) -> dict[str, int]:
    """Which column of the file is `text`, `pair` and `label`."""
    for column in task.columns.values():
        if header.count(column) != 1:
            found = "more than one" if column in header else "no"
            raise UserError(f"{path}:1 has {found} column {column!r}; its columns are {quoted(', '.join(header))}")
    return {name: header.index(column) for name, column in task.columns.items()}


def _row(task: Task, line: list[str], index: dict[str, int], width: int) -> dict[str, Any]:
    if len(line) != width:
        kind = _CutShort if len(line) < width else ValueError
        raise kind(f"{len(line)} columns instead of {width}")
    row = {name: line[i] for name, i in index.items()}
    return row | {"label": label(task, row["label"])} if "label" in row else row  # test sets have none


def label(task: Task, text: str) -> float | int:
    """The number of a label that a file writes as text.

    Raises:
        ValueError: if the task has no such label.
    """
    if task.kind == "regression":
        value = float(text) if NUMBER.fullmatch(text) else math.nan
        if not math.isfinite(value):
            raise ValueError(f"score {quoted(text)} is not a number")
        if task.range and not task.range[0] <= value <= task.range[1]:
            raise ValueError(f"score {quoted(text)} is not between {task.range[0]:g} and {task.range[1]:g}")
        return value
    if text not in task.labels:
        raise ValueError(f"label {quoted(text)} is not one of {', '.join(task.labels)}")
    return task.labels.index(text)
