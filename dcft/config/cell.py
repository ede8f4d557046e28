"""A cell: the checked configuration of one run, its name and its places."""

import hashlib
import json
import os
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import ConfigDict

from dcft.config.digests import data_identity, model_identity
from dcft.config.flatten import flatten
from dcft.config.schema import TARGETS, Count, Data, Directory, Eval, Method, Model, Name, Seed, Task, Tracker, Train
from dcft.errors import UserError

IDENTITY_VERSION = 2  # raise it when the same settings begin to mean another experiment

_DATA = "counts by content: digests.data_identity"
_WEIGHTS = "counts by content: digests.model_identity"
_KNOB = "reaches the run through method.peft, which counts"
_PLACE = "a place"
# Settings that do not change a result and so do not count for a cell's name, with the reason. A name stands for all
# settings below it. Every other setting counts.
NOT_PART = {
    "task.title": "a heading of tables",
    "task.printed": "which metrics tables print",
    "task.rows": "a check of the data",
    "task.range": "a check of the data",
    "task.toy": _DATA,
    "task.hub": _DATA,
    "task.format": _DATA,
    "task.files": _DATA,
    "task.columns": _DATA,
    "task.header": _DATA,
    "task.malformed_rows": _DATA,
    "data.root": _DATA,
    "model.title": "a heading of tables",
    "model.substitute": "a label of tables",
    "model.license": "a line of model cards",
    "model.hub": _WEIGHTS,
    "model.package": _WEIGHTS,
    "model.random": _WEIGHTS,
    "model.path": _WEIGHTS,
    "model.init_from": _WEIGHTS,
    "model.matrices": "the adapted ones count, as target_modules",
    "targets": "counts as target_modules",
    "kernel": _KNOB,
    "stride": _KNOB,
    "rank": _KNOB,
    "bottleneck": _KNOB,
    "method.title": "a heading of tables",
    "method.tag": "stands in the name itself",
    "preset": "its values count",
    "recipe": "its values count",
    "recipe_source": "a description",
    "train.accumulate": "how a step is computed: changes rounding, and which numbers dropout draws",
    "train.checkpoint_layers": "how gradients are computed, which changes rounding at most",
    "eval.batch_size": "changes rounding at most",
    "eval.keep_predictions": "what is kept beside the record",
    "fsdp": "how processes share a model, which changes rounding at most",
    "tracker": "a mirror of the record",
    "results": _PLACE,
    "outputs": _PLACE,
    "table": "a sweep over cells",
}
SPAN_ONLY = ("task.doc_stride", "task.max_answer_length", "task.n_best", "task.null_threshold")


@dataclass
class RunConfig:
    """One cell, ready to run. `recipe_source` names the source of every training value."""

    # Numbers may be texts: data.root=2024, labels: [0, 1].
    __pydantic_config__ = ConfigDict(extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)

    task: Task
    model: Model
    method: Method
    data: Data
    train: Train
    eval: Eval
    preset: Name
    targets: str = "all"
    seed: Seed = 6
    precision: Literal["fp32", "bf16"] = "fp32"
    attention: Literal["lean", "plain", "flash"] = "lean"
    dropout: Literal["fast", "torch"] = "torch"
    compile: bool = False
    fsdp: bool = False
    kernel: Count | None = None
    stride: Count | None = None
    rank: Count | None = None
    bottleneck: Count | None = None
    tracker: Tracker = field(default_factory=Tracker)
    results: Directory = field(default_factory=lambda: Directory("results"))
    outputs: Directory = field(default_factory=lambda: Directory("outputs"))
    recipe: dict[str, Any] = field(default_factory=dict)
    table: Any = None
    recipe_source: dict[str, str] = field(default_factory=dict)

    @property
    def target_modules(self) -> list[str]:
        """Names of the adapted matrices in this backbone."""
        return chosen_matrices(self.model.matrices, self.targets)

    @property
    def cell(self) -> str:
        """The cell's name; see `cell_name`."""
        return cell_name(asdict(self), data_identity(self.task, self.data_files), model_identity(self.model))

    @property
    def record_path(self) -> Path:
        """Where the record of this cell is, or will be."""
        return Path(self.results.dir) / record_place(self.model.name, self.task.name, self.cell)

    @property
    def predictions_path(self) -> Path:
        """Where the answers of this cell's chosen evaluations are, or will be."""
        return Path(self.results.dir) / predictions_place(self.model.name, self.task.name, self.cell)

    @property
    def work_dir(self) -> Path:
        """Checkpoints, lock and state of this cell."""
        return Path(self.outputs.dir) / work_place(self.cell)

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
            if not os.path.isfile(path):  # unlike Path.is_file, False for any path that cannot be
                found = "is not a file" if os.path.exists(path) else "does not exist"
                raise UserError(f"{path} {found}; data.root={self.data.root} must hold the official files")


def cell_name(settings: dict[str, Any], data: dict[str, Any], weights: dict[str, Any]) -> str:
    """The name of a cell: readable parts, and a hash of everything that can change the result.

    A record holds all three arguments, so that its name can be checked against its content.

    Args:
        settings: the fields of a `RunConfig`, nested.
        data: the content of the data (`digests.data_identity`).
        weights: the content of the weights (`digests.model_identity`).
    """
    content = {"version": IDENTITY_VERSION, "data": data, "weights": weights, **identity(settings)}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]
    task, model, method = settings["task"], settings["model"], settings["method"]
    return f"{task['name']}.{model['name']}.{method['tag']}.s{settings['seed']}.{digest}"


def identity(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that can change a cell's result, by dotted name: all but those in `NOT_PART`.

    A setting that still has the schema's default is left out, so that a setting added later orphans no record.
    """
    part = {
        key: value
        for key, value in flatten(settings).items()
        if counts(key) and (key not in DEFAULTS or value != DEFAULTS[key])
    }
    if settings["task"]["kind"] == "span":  # the head of such a model has another name
        part.pop("model.head")
    else:
        part = {key: value for key, value in part.items() if key not in SPAN_ONLY}
    peft = settings["method"]["peft"]
    if peft is not None and "target_modules" not in peft:  # the method asks which matrices `targets` chooses
        part["target_modules"] = chosen_matrices(settings["model"]["matrices"], settings["targets"])
    return part


@cache
def counts(key: str) -> bool:
    """Whether a setting, by its dotted name, counts for a cell's name."""
    return not any(f"{key}.".startswith(f"{name}.") for name in NOT_PART)


def chosen_matrices(matrices: dict[str, str], targets: str) -> list[str]:
    """The names that a backbone has for the matrices of a choice, a key of `TARGETS`."""
    return [matrices[name] for name in TARGETS[targets]]


def work_place(cell: str) -> Path:
    """Where a cell has its checkpoints, lock, state and model, below the outputs folder."""
    return Path("runs") / cell


def record_place(model: str, task: str, cell: str) -> Path:
    """Where the record of a cell belongs, below the results folder."""
    return Path("runs") / model / task / f"{cell}.json"


def predictions_place(model: str, task: str, cell: str) -> Path:
    """Where the predictions of a cell belong, below the results folder."""
    return Path("predictions") / model / task / f"{cell}.parquet"


def _defaults(kind: type, prefix: str = "") -> dict[str, Any]:
    """The default of every setting of the schema that has one, by dotted name; a group that may be null counts too."""
    found: dict[str, Any] = {}
    for field_ in fields(kind):
        name = prefix + field_.name
        if is_dataclass(field_.type):
            found |= _defaults(cast(type, field_.type), f"{name}.")
        elif field_.default is not MISSING:
            found[name] = field_.default
        elif field_.default_factory is not MISSING:
            found[name] = field_.default_factory()
    return found


DEFAULTS = _defaults(RunConfig)
