"""Readers of the official GLUE and SQuAD files, quirks included. A malformed row is an error with file and line."""

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
        split: name of the split. Only "train" may have rows that are cut short, `task.malformed_rows` at most.
        path: the official file.

    Raises:
        UserError: if the file cannot be read or lacks the task's format; names the file and the line or the question.
    """
    try:
        if task.format == "squad":
            return squad_file.read(path, always_answered=task.null_threshold is None)
        return tsv_file.read(task, path, allowed=task.malformed_rows if split == "train" else 0)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
