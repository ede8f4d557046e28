"""The number of rows in official files, test sets included."""

from pathlib import Path

from dcft.config.schema import Task
from dcft.data import files
from dcft.errors import UserError


def count(task: Task, root: Path) -> dict[str, int]:
    """Number of rows by split. A split without a file is left out.

    Test sets are counted under "test" and "test_mismatched".

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
    found = {split: path for split, path in files.tests(paths).items() if path.is_file()}
    return counts | {split: len(files.read(files.unlabelled(task), split, path)) for split, path in found.items()}
