"""Files that appear complete or not at all."""

import os
import tempfile
from pathlib import Path

from dcft.errors import UserError, shown


def write(path: Path, content: str | bytes) -> None:
    """Write a file: temporary file beside it, flush to disk, rename, flush the folder. Makes missing folders.

    Raises:
        UserError: if there is a folder in its place.
    """
    if path.is_dir():
        raise UserError(f"{shown(path)} is a folder; give a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(scratch, 0o644)  # mkstemp's files are private
        os.replace(scratch, path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
    flush(path.parent)


def clean(path: Path) -> None:
    """Delete what writers of a file have left that were killed. The caller must be its only writer."""
    for scratch in path.parent.glob(f".{path.name}.*"):
        scratch.unlink()


def flush(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
