"""A cell: the checked configuration of one run, its name and its places."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from dcft.config.digests import data_identity, model_identity
from dcft.config.schema import TARGETS, Data, Directory, Eval, Method, Model, Task, Tracker, Train
from dcft.errors import UserError

IDENTITY_VERSION = 1  # raise it when the same settings begin to mean another experiment


@dataclass
class RunConfig:
    """One cell, ready to run. `recipe_source` names the source of every training value."""

    task: Task
    model: Model
    method: Method
    data: Data
    train: Train
    eval: Eval
    preset: str
    targets: str = "all"
    seed: int = 6
    precision: str = "fp32"
    attention: str = "lean"
    compile: bool = False
    fsdp: bool = False
    kernel: int | None = None
    stride: int | None = None
    rank: int | None = None
    bottleneck: int | None = None
    tracker: Tracker = field(default_factory=Tracker)
    results: Directory = field(default_factory=lambda: Directory("results"))
    outputs: Directory = field(default_factory=lambda: Directory("outputs"))
    recipe: dict[str, Any] = field(default_factory=dict)
    table: Any = None
    recipe_source: dict[str, str] = field(default_factory=dict)

    @property
    def target_modules(self) -> list[str]:
        """Names of the adapted matrices in this backbone."""
        return [self.model.matrices[name] for name in TARGETS[self.targets]]

    @property
    def cell(self) -> str:
        """The cell's name: readable, and unique through a hash of everything that changes the result."""
        digest = hashlib.sha256(json.dumps(identity(self), sort_keys=True).encode()).hexdigest()[:10]
        return f"{self.task.name}.{self.model.name}.{self.method.tag}.s{self.seed}.{digest}"

    @property
    def record_path(self) -> Path:
        """Where the record of this cell is, or will be."""
        return Path(self.results.dir) / "runs" / self.model.name / self.task.name / f"{self.cell}.json"

    @property
    def work_dir(self) -> Path:
        """Checkpoints, lock and state of this cell."""
        return Path(self.outputs.dir) / "runs" / self.cell

    @property
    def data_files(self) -> dict[str, Path]:
        """The local files of this task, by split; empty when the data come from the Hub or the toy generator."""
        if self.task.toy or self.data.root is None:
            return {}
        return {split: Path(self.data.root) / name for split, name in self.task.files.items()}

    def require_data(self) -> None:
        """Make sure that the local files of this task are there; without them a cell has no name.

        Raises:
            UserError: if one is missing.
        """
        for path in self.data_files.values():
            if not path.is_file():
                raise UserError(f"{path} does not exist; data.root={self.data.root} must hold the official files")


def identity(config: RunConfig) -> dict[str, Any]:
    """Everything that changes a cell's result, and nothing else.

    Fields that still have their default are left out, so that a field added later does not orphan old records; data and
    weights count by content, not by where they lie.
    """
    return {
        "version": IDENTITY_VERSION,
        "task": {"name": config.task.name, **_changed(config.task, ("doc_stride", "n_best", "max_answer_length"))}
        | _changed(config.task, ("null_threshold", "malformed_rows")),
        "data": data_identity(config.task, config.data_files)
        | _changed(config.data, ("max_length", "max_train", "max_eval")),
        "model": {"name": config.model.name, "weights": model_identity(config.model)},
        "method": {"name": config.method.name, "peft": config.method.peft}
        | ({"orthogonality": asdict(config.method.orthogonality)} if config.method.orthogonality else {})
        | ({"sparsity": asdict(config.method.sparsity)} if config.method.sparsity else {})
        | {
            name: value
            for name in ("module", "freeze", "trainable", "optimizer")
            if (value := getattr(config.method, name))
        },
        "train": _changed(config.train, [f.name for f in fields(config.train)]),
        "eval": {"every": config.eval.every},
        **_changed(config, ("targets", "seed", "precision", "attention", "compile")),
    }


def _changed(node: Any, names: Iterable[str]) -> dict[str, Any]:
    defaults = {f.name: f.default for f in fields(node)}
    return {n: getattr(node, n) for n in names if defaults[n] is MISSING or getattr(node, n) != defaults[n]}
