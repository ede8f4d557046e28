"""The rows that a trained model predicts: those of a split, or of a file of one's own."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import Dataset

from dcft.config.cell import RunConfig
from dcft.config.schema import Task
from dcft.data import files, sources, tsv_file
from dcft.errors import UserError, quoted


def of_split(config: RunConfig, split: str) -> dict[str, Dataset]:
    """The rows of the dev or of the test set, by the name of the set: MNLI has two of each.

    Test sets have no labels.

    Raises:
        UserError: if the task has no such set, or its data cannot be loaded.
    """
    if split == "dev":
        config.require_data()
        return {name: rows for name, rows in sources.load_data(config)[0].items() if name.startswith("dev")}
    return sources.load_test(config)


def of_file(task: Task, path: Path) -> Dataset:
    """The rows of a file, with labels if it has them.

    Args:
        task: gives the headings: a file needs those of the official one, except the label's.
        path: `.tsv` with a header line, `.jsonl` with one object a line, or SQuAD's JSON, answers optional.

    Raises:
        UserError: if the file cannot be read so; names file and line.
    """
    try:
        if task.format == "squad":
            return Dataset.from_list(files.read(task, "test", path))
        if path.suffix in (".jsonl", ".json"):
            return Dataset.from_list(_json_lines(task, path))
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            header = file.readline().rstrip("\r\n").split("\t")
        described = replace(task, header=None) if task.columns["label"] in header else files.unlabelled(task)
        return Dataset.from_list(files.read(described, "test", path))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _json_lines(task: Task, path: Path) -> list[dict[str, Any]]:
    rows = []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start + 1}") from error
    for number, line in enumerate(lines, start=1):
        try:
            rows += [_json_row(task, json.loads(line))] if line.strip() else []
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}:{number} is malformed: {error}") from error
    if not rows:
        raise UserError(f"{path} has no rows")
    return rows


def _json_row(task: Task, content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError(f"{quoted(content)} is not an object")
    row = {}
    for name, heading in task.columns.items():
        value = content.get(heading)
        if name == "label":
            row |= {"label": tsv_file.label(task, str(value))} if value is not None else {}
        elif isinstance(value, str):
            row[name] = value
        else:
            raise ValueError(f"{heading}={quoted(value)} is not a text")
    return row
