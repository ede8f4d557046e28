"""Sizes of the data sets, as the configuration has them or as official files have them."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from dcft.errors import UserError
from dcft.paper.printed import TASKS

WORDS = {"matthews": "Mcc", "accuracy": "Acc", "pearson": "Corr", "exact_match": "EM", "f1": "F1"}  # the paper's
TITLES = {task: name for name, task in reversed(TASKS.items())}


@dataclass
class DataSet:
    """What Tables 7 and 8 say of a task; a count that is not known is missing."""

    title: str
    metric: str
    counts: dict[str, int]  # train, valid, test, label
    partial: list[str]  # splits that are not complete


@cache
def _composer():
    from dcft.config.compose import Composer

    return Composer()


@cache
def composed(task: str) -> dict[str, Any]:
    """Task and recipe of `task=TASK method=dcft model=deberta-v3-base preset=table9`."""
    config = _composer()([f"task={task}", "method=dcft", "model=deberta-v3-base", "preset=table9"])
    return {key: OmegaConf.to_container(config[key], resolve=True) for key in ("task", "recipe")}


def title(task: str) -> str:
    """The task's name in our tables."""
    return composed(task)["task"]["title"]


def read(name: str, root: Path | None) -> DataSet:
    """A task's metrics, number of labels and sizes.

    Args:
        name: the task.
        root: folder with the official files, whose rows are counted; None: the sizes in the task's file.

    Raises:
        UserError: if the folder does not exist or a file cannot be read.
    """
    task = composed(name)["task"]
    complete = task["rows"]
    counts = _counted(task, Path(root)) if root else complete
    partial = [
        f"{split} ({counts[split]:,} of {n:,} rows)" for split, n in complete.items() if counts[split] not in (n, None)
    ]
    sizes = {"train": counts.get("train"), "valid": _total(counts, "dev"), "test": _total(counts, "test")}
    if task["kind"] != "span":
        sizes["label"] = len(task.get("labels", [])) or 1
    metrics = task.get("printed") or task["score"]
    pair = metrics == ["accuracy", "accuracy_mismatched"]
    words = "Acc(m/mm)" if pair else "/".join(WORDS[metric] for metric in metrics)
    return DataSet(task["title"], words, {key: count for key, count in sizes.items() if count is not None}, partial)


def _total(counts: dict[str, int | None], split: str) -> int | None:
    """All sets of a split together (MNLI has two); None if one is missing."""
    found = [count for key, count in counts.items() if key.startswith(split)]
    return sum(found) if found and None not in found else None


def _counted(task: dict[str, Any], root: Path) -> dict[str, int | None]:
    if not root.is_dir():
        raise UserError(f"data root {root} does not exist; give the folder with the official files")
    if task["format"] == "squad":
        return {split: _questions(root / path) for split, path in task["files"].items()}
    counts = {split: _rows(root / path, task.get("header") or []) for split, path in task["files"].items()}
    for split, path in task["files"].items():  # test.tsv lies beside dev.tsv, test_matched.tsv beside dev_matched.tsv
        if split.startswith("dev"):
            folder, _, file = path.rpartition("/")
            counts[split.replace("dev", "test")] = _rows(root / folder / file.replace("dev", "test"), [])
    return counts


def _rows(path: Path, header: list[str]) -> int | None:
    """Rows of an official TSV file: only a line feed ends one (quotes are text), and one cut short is none.

    The readers of dcft.data.files go by the same rules; they take seconds where this takes a moment.
    """
    if not path.is_file():
        return None
    with path.open("rb") as file:
        first = b"\t".join(name.encode() for name in header) if header else next(file, b"")
        tabs = first.count(b"\t")
        return sum(line.count(b"\t") == tabs for line in file)


def _questions(path: Path) -> int | None:
    """Questions of an official SQuAD file."""
    if not path.is_file():
        return None
    try:
        articles = json.loads(path.read_bytes())["data"]
        return sum(len(paragraph["qas"]) for article in articles for paragraph in article["paragraphs"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a SQuAD file: {error}") from error
