"""Where data come from: the Hub at a pinned revision, a folder with the official files, or the toy generator."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from datasets import Dataset, load_dataset

from dcft.config.cell import RunConfig
from dcft.config.digests import TOY_VERSION, data_identity
from dcft.config.schema import Task
from dcft.data import files, toy
from dcft.data.hub import unavailable_data
from dcft.errors import UserError

log = logging.getLogger(__name__)


@dataclass
class DataSource:
    """What the data of a run are."""

    source: str  # hub, local or toy
    identity: dict  # repository and revision, or digests of the files
    rows: dict[str, int]  # by split, before data.max_train and data.max_eval
    complete: bool  # whether `rows` are the whole data set's (paper, Tables 7 and 8)


def load_data(config: RunConfig) -> tuple[dict[str, Dataset], DataSource]:
    """The splits of the task: `train`, `dev` and, for MNLI, `dev_mismatched`.

    Columns are `text`, `pair` (if there is one) and `label` for GLUE; `id`, `question`, `context`, `answers` for SQuAD.

    Raises:
        UserError: if the Hub does not answer, a file is missing, a row is malformed, or the Hub's data are incomplete.
    """
    task = config.task
    if task.toy:
        root = Path(config.outputs.dir) / "cache" / f"toy-v{TOY_VERSION}"
        toy.write(root)
        splits = {split: Dataset.from_list(files.read(task, split, root / name)) for split, name in task.files.items()}
    elif config.data_files:
        splits = {split: Dataset.from_list(files.read(task, split, path)) for split, path in config.data_files.items()}
    else:
        splits = _from_hub(task, task.hub.splits)
    rows = {split: len(data) for split, data in splits.items()}
    complete = rows == task.rows
    identity = data_identity(task, config.data_files)
    if not complete:
        _reject_or_note_incomplete(config, rows)
    for split, data in splits.items():
        limit = config.data.max_train if split == "train" else config.data.max_eval
        if limit is not None and limit < len(data):
            splits[split] = data.select(range(limit))
    return splits, DataSource(identity["source"], identity, rows, complete)


def load_test(config: RunConfig) -> dict[str, Dataset]:
    """The test sets of the task, without labels: `test` and, for MNLI, `test_mismatched`.

    Raises:
        UserError: if the task has none, or they cannot be loaded.
    """
    task = config.task
    if task.toy or task.format == "squad":
        raise UserError(f"task={task.name} has no test set that is open to all; give --split dev, or --file FILE")
    if config.data.root:
        unlabelled = files.unlabelled(task)
        paths = files.tests(config.data_files)
        return {split: Dataset.from_list(files.read(unlabelled, split, path)) for split, path in paths.items()}
    names = {split: name for split, name in task.hub.splits.items() if split.startswith("dev")}
    splits = {split.replace("dev", "test"): name.replace("validation", "test") for split, name in names.items()}
    return {split: rows.remove_columns("label") for split, rows in _from_hub(task, splits).items()}


def load_diagnostic(task: Task) -> dict[str, Dataset]:
    """GLUE's diagnostic sentences, which have MNLI's columns, from the Hub: `ax`."""
    described = replace(task, hub=replace(task.hub, name="ax"))
    return {"ax": _from_hub(described, {"ax": "test"})["ax"].remove_columns("label")}


def _reject_or_note_incomplete(config: RunConfig, rows: dict[str, int]) -> None:
    """Incomplete data of a pinned revision are an error. Incomplete local files are allowed; every table marks them."""
    counts = ", ".join(f"{split} {rows.get(split, 0)} of {n}" for split, n in config.task.rows.items())
    if not config.data_files:
        raise UserError(f"task={config.task.name}: the data are not the pinned ones ({counts} rows)")
    log.warning("note: %s is not complete (%s rows); its results will be marked", config.task.title, counts)


def _from_hub(task: Task, splits: dict[str, str]) -> dict[str, Dataset]:
    """Splits of a repository on the Hub; `splits` holds our names and the Hub's."""
    hub = task.hub
    try:
        loaded = load_dataset(hub.path, hub.name, revision=hub.revision)
    except Exception as error:  # the client raises errors of many types
        raise unavailable_data(task, error) from error
    found = {split: loaded[name] for split, name in splits.items()}
    if task.kind == "span":
        return {name: data.select_columns(["id", "question", "context", "answers"]) for name, data in found.items()}
    columns = {hub_column: column for column, hub_column in hub.columns.items()}
    return {
        name: data.select_columns(list(columns)).rename_columns({k: v for k, v in columns.items() if k != v})
        for name, data in found.items()
    }
