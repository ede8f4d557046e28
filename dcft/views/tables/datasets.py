"""Sizes and metrics of the data sets, as Tables 7 and 8 name them."""

from dataclasses import dataclass

from dcft.paper.configuration import composed

METRICS = {"matthews": "Mcc", "accuracy": "Acc", "pearson": "Corr", "exact_match": "EM", "f1": "F1"}  # as printed


@dataclass
class DataSet:
    """What Tables 7 and 8 say of a task; a count that is not known is missing."""

    title: str
    metric: str
    counts: dict[str, int]  # train, valid, test, label
    partial: list[str]  # splits that are not complete


def describe(name: str, rows: dict[str, int] | None = None) -> DataSet:
    """A task's metrics, number of labels and sizes.

    Args:
        name: the task.
        rows: counted rows by split, without the splits that have no file; None: the sizes in the task's file.
    """
    task = composed(name)["task"]
    complete = task["rows"]
    counts = complete if rows is None else rows
    partial = [
        f"{split} ({counts[split]:,} of {n:,} rows)" for split, n in complete.items() if counts.get(split, n) != n
    ]
    dev = [split for split in complete if split.startswith("dev")]
    test = [split.replace("dev", "test") for split in dev]
    sizes = {"train": counts.get("train"), "valid": _total(counts, dev), "test": _total(counts, test)}
    if task["kind"] != "span":
        sizes["label"] = len(task.get("labels", [])) or 1
    metrics = task.get("printed") or task["score"]
    pair = metrics == ["accuracy", "accuracy_mismatched"]
    words = "Acc(m/mm)" if pair else "/".join(METRICS[metric] for metric in metrics)
    return DataSet(task["title"], words, {key: count for key, count in sizes.items() if count is not None}, partial)


def _total(counts: dict[str, int], splits: list[str]) -> int | None:
    """The rows of several splits together (MNLI has two dev sets); None if one is missing."""
    return sum(counts[split] for split in splits) if all(split in counts for split in splits) else None
