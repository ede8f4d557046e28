"""Readers of the official GLUE and SQuAD files, quirks included. A malformed row is an error with file and line."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from dcft.config.schema import Task
from dcft.data import squad_file, tsv_file
from dcft.errors import UserError


def read(task: Task, split: str, path: Path) -> list[dict[str, Any]]:
    """The rows of one split, in the order of the file.

    Columns are `text`, `pair` (if the task has pairs) and `label` for GLUE; `id`, `question`, `context` and `answers`
    for SQuAD.

    Args:
        task: gives the format, the header and the labels.
        split: name of the split. Only "train" may have rows that are cut short, `task.malformed_rows` at most. Only the
            questions of "test" may be without answers.
        path: the official file.

    Raises:
        UserError: if the file cannot be read or lacks the task's format; names the file and the line or the question.
    """
    try:
        if task.format == "squad":
            return squad_file.read(path, task.null_threshold is None, labelled=split != "test")
        return tsv_file.read(task, path, allowed=task.malformed_rows if split == "train" else 0)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def tests(paths: dict[str, Path]) -> dict[str, Path]:
    """The files of the test sets, which lie beside those of the dev sets: test_matched.tsv beside dev_matched.tsv.

    Args:
        paths: the local files by split. Test sets are named like the dev sets: "test", "test_mismatched".
    """
    return {
        split.replace("dev", "test"): path.with_name(path.name.replace("dev", "test"))
        for split, path in paths.items()
        if split.startswith("dev")
    }


def unlabelled(task: Task) -> Task:
    """The task as its test files have it: with a header line and without labels."""
    columns = {name: heading for name, heading in task.columns.items() if name != "label"}
    return replace(task, columns=columns, header=None)
