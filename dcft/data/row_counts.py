"""The number of rows in official files, test sets included."""

from dataclasses import replace
from pathlib import Path

from dcft.config.schema import Task
from dcft.data import files
from dcft.errors import UserError


def count(task: Task, root: Path) -> dict[str, int]:
    """Number of rows by split. A split without a file is left out.

    Test sets have no labels and lie beside the dev sets: test.tsv beside dev.tsv, test_matched.tsv beside
    dev_matched.tsv. Their rows are counted under "test", "test_mismatched". The suite uses them nowhere else.

    Args:
        task: gives the names and the format of the files.
        root: folder with the official files.

    Raises:
        UserError: if the folder does not exist or a file cannot be read.
    """
    if not root.is_dir():
        raise UserError(f"data root {root} does not exist; give the folder with the official files")
    paths = {split: root / name for split, name in task.files.items()}
    counts = {split: len(files.read(task, split, path)) for split, path in paths.items() if path.is_file()}
    if task.format == "squad":
        return counts
    columns = {name: heading for name, heading in task.columns.items() if name != "label"}
    unlabelled = replace(task, columns=columns, header=None)
    for split, path in paths.items():
        test = path.with_name(path.name.replace("dev", "test"))
        if split.startswith("dev") and test.is_file():
            name = split.replace("dev", "test")
            counts[name] = len(files.read(unlabelled, name, test))
    return counts
