"""The record of one run, as a type: `from_json` refuses what cannot be one, `to_json` writes it.

docs/records.md describes the fields; docs/record.schema.json is the JSON Schema (`python scripts/records.py schema`).
"""

import enum
import json
from dataclasses import asdict
from typing import Annotated, Any, Literal, NoReturn

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from dcft.config.cell import cell_name
from dcft.config.digests import start_cell
from dcft.results import protocols
from dcft.results.evaluation import STRICT, Count, Evaluation, Metrics, Percent, Seconds, score
from dcft.results.updates import Updates
from dcft.results.upgrade import upgrade

SCHEMA_VERSION = 2  # raise it, and extend `upgrade`, when a field changes its name or its meaning
TOLERANCE = 1e-9  # percent: the rounding of a mean

Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$", description="UTC, to the second")]


class Status(str, enum.Enum):
    """What is known of a cell; a record has DONE or FAILED."""

    NEW = "new"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    DONE = "done"
    INVALID = "invalid"  # there is a file in the record's place that is not the record of this cell

    __str__ = str.__str__  # "done" in messages, whatever the version of Python


@dataclass(config=STRICT, frozen=True)
class Params:
    """Numbers of parameters."""

    adapter: Count  # the method's own
    head: Count  # new for the task; trained by every method
    trainable: Count  # both
    total: Count  # backbone and head
    kept: Count | None = None  # the adapter's after pruning; None: the method does not prune


@dataclass(config=STRICT, frozen=True)
class Tokens:
    """Tokens of one epoch."""

    real: Count
    computed: Count  # real, and padding


@dataclass(config=STRICT, frozen=True)
class Costs:
    """Times of all attempts together."""

    train_s: Seconds | None  # of training, without evaluations; None: no evaluation was reached
    eval_s: Seconds  # of all evaluations
    samples_per_s: Annotated[float, Field(ge=0)] | None  # training rows a second of training


@dataclass(config=STRICT, frozen=True)
class Flops:
    """Floating-point operations of matrix products: a multiplication and an addition are two."""

    step: Count  # forward and backward of one batch; of all processes together
    prediction: Count  # forward of one row, adapters merged where they can be


@dataclass(config=STRICT, frozen=True)
class DataSource:
    """The data of a run."""

    identity: dict[str, Any]  # Hub revision, generator's version or digests of files (dcft.config.digests)
    rows: dict[str, Count] | None = None  # by split, before data.max_train and data.max_eval; None: not loaded
    complete: bool | None = None  # whether `rows` are the whole data set's (paper, Tables 7 and 8)

    @property
    def source(self) -> str:
        """hub, local or toy."""
        return self.identity["source"]


@dataclass(config=STRICT, frozen=True)
class ModelSource:
    """The weights of a run's backbone."""

    identity: dict[str, Any]  # Hub revision, package version, architecture or digests of files (dcft.config.digests)
    revision: str | None = None  # the commit that the Hub gave

    @property
    def source(self) -> str:
        """hub, local, package or random."""
        return self.identity["source"]


@dataclass(config=STRICT, frozen=True)
class Predictions:
    """The file with a run's answers on dev (dcft.results.predictions)."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    steps: list[Count]  # whose evaluations it holds


@dataclass(config=STRICT, frozen=True)
class Git:
    """State of the suite's code."""

    commit: str
    dirty: bool  # files outside results/ differ from the commit


@dataclass(config=STRICT, frozen=True)
class Record:
    """One run. A finished run has the score of its best evaluation; a failed one has an error and no score.

    Raises:
        ValueError: if values contradict each other, or the name is not that of the settings, data and weights.
    """

    schema_version: Literal[2]
    cell: str
    status: Status
    task: str
    model: str
    method: str
    seed: Count
    score: Percent | None  # percent, of the best evaluation
    metrics: Metrics | None  # percent, of the best evaluation
    metrics_halves: list[Metrics] | None  # percent, of the best evaluation
    params: Params | None  # None here and below: the run failed before this was known
    tokens: Tokens | None
    time: Costs | None
    peak_memory_mb: Annotated[float, Field(ge=0)] | None  # MB (10^6 bytes), of the process or its GPU
    data_source: DataSource
    model_source: ModelSource
    config: dict[str, Any]  # the settings: dcft.config.cell.RunConfig
    recipe_source: dict[str, str]  # the source of each training value
    versions: dict[str, str]
    git: Git | None  # None: not a git repository
    hardware: dict[str, Any]
    started: Time  # of the first attempt
    finished: Time
    attempts: Annotated[int, Field(ge=1)]
    error: str | None
    history: list[Evaluation]
    losses: list[tuple[int, float]]  # step, and mean training loss since the step before; a method's penalty included
    predictions: Predictions | None = None  # None: not kept
    disk_bytes: Count | None = None  # of the kept weights: adapter and head, or the whole model
    flops: Flops | None = None  # None: not counted
    peak_reserved_mb: Annotated[float, Field(ge=0)] | None = None  # MB, of the GPU's allocator; None: no GPU
    resumed_from: Count | None = None  # step of the checkpoint that the last attempt went on from; None: the beginning
    updates: Updates | None = None  # what DCFT has learned; None: another method

    def __post_init__(self) -> None:
        for key in ("task", "model", "method"):
            _require(self.config[key]["name"] == getattr(self, key), f"{key} is not that of its config")
        _require(self.config["seed"] == self.seed, "seed is not that of its config")
        if start := self.config["model"].get("init_from"):
            stated = self.model_source.identity.get("init_from")
            _require(stated == (start_cell(start) or stated), f"config.model.init_from is not cell {stated}")
        name = cell_name(self.config, self.data_source.identity, self.model_source.identity)
        _require(name == self.cell, f"its content is that of cell {name}")
        steps = [entry.step for entry in self.history]
        _require(steps == sorted(set(steps)), "history is not in the order of its steps")
        for entry in self.history:
            scored = [(entry.score, entry.metrics), *((half["score"], half) for half in entry.metrics_halves)]
            for stated, metrics in scored:
                mean = score(metrics, self.config["task"]["score"])
                _require(same(stated, mean), f"score {stated} at step {entry.step}: its metrics give {mean}")
        if self.params:
            whole = self.params.adapter + self.params.head
            _require(self.params.trainable == whole, f"params.trainable is not adapter + head = {whole}")
        _require(self.status in (Status.DONE, Status.FAILED), f"status {self.status}: give done or failed")
        best = protocols.choose(self.history, "best") if self.done else None
        _require(best is not None or not self.done, "it is done and has no evaluation with a score")
        _require((self.error is None) == self.done, "a failed run has an error, a finished one has none")
        for key in ("score", "metrics", "metrics_halves"):
            _require(getattr(self, key) == (best and getattr(best, key)), f"{key} is not that of the best evaluation")

    @property
    def done(self) -> bool:
        """Whether the run has a result."""
        return self.status == Status.DONE

    @property
    def last(self) -> Evaluation | None:
        """The evaluation after the last step."""
        return protocols.choose(self.history, "last")

    @property
    def collapsed(self) -> bool | None:
        """Whether the model gave one answer to everything at its last evaluation; None: there was none."""
        return self.last and self.last.collapsed

    @property
    def toy(self) -> bool:
        """Whether the data are generated."""
        return self.config["task"]["toy"]

    @property
    def substitute(self) -> bool:
        """Whether the backbone is not one of the paper's."""
        return self.config["model"]["substitute"]


ADAPTER = TypeAdapter(Record)


def from_json(text: str) -> Record:
    """Read a record, an old one in today's form.

    Raises:
        ValueError: for what is not a record, in one line that names the field.
    """
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
        if not isinstance(content, dict) or "cell" not in content:
            raise ValueError("it has no cell")
        newest = upgrade(content)
        return ADAPTER.validate_json(text if newest is content else json.dumps(newest))
    except ValidationError as error:
        raise ValueError(_first(error)) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"config lacks {error}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def to_json(record: Record) -> str:
    """A record as text: one field a line, numbers exact.

    Raises:
        ValueError: if it holds NaN or infinity, which are no results (and no JSON).
    """
    return json.dumps(asdict(record), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def same(one: Any, other: Any) -> bool:
    """Whether numbers, or dictionaries and lists of them, are equal within `TOLERANCE`; None equals None alone."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (None not in (one, other) and abs(one - other) <= TOLERANCE)


def json_schema() -> str:
    """The JSON Schema of a record."""
    return json.dumps(ADAPTER.json_schema(), indent=1) + "\n"


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    if not place or first["type"] == "missing":
        return f"{place}: {message}" if place else message
    return f"{place}={str(first['input'])[:60]!r}: {message}"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _require(good: bool, message: str) -> None:
    if not good:
        raise ValueError(message)
