"""From what a run has left to its record."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dcft.config.cell import RunConfig
from dcft.config.digests import data_identity, model_identity
from dcft.results import protocols, provenance
from dcft.results.record import (
    SCHEMA_VERSION,
    DataSource,
    Flops,
    Git,
    ModelSource,
    Params,
    Predictions,
    Record,
    Status,
    Tokens,
)
from dcft.results.records import now
from dcft.results.updates import Updates
from dcft.training.history import costs, evaluations, losses


@dataclass(frozen=True)
class Result:
    """What a run has left. A run that failed has left what was known by then."""

    failure: Exception | None = None
    params: Params | None = None
    tokens: Tokens | None = None
    rows: dict[str, int] | None = None  # of the data, by split
    complete: bool | None = None  # whether the data are whole
    revision: str | None = None  # of the weights: the commit that the Hub gave
    logs: list[dict[str, Any]] = field(default_factory=list)  # the Trainer's history
    samples: float = 0.0  # rows that were trained on, each time counted
    disk_bytes: int | None = None  # of the kept weights
    flops: Flops | None = None
    resumed_from: int | None = None  # step of the checkpoint that the last attempt went on from
    updates: Updates | None = None  # what DCFT has learned


def settings(config: RunConfig) -> dict[str, Any]:
    """A cell's settings as its record keeps them."""
    kept = asdict(config)
    for key in ("recipe", "table", "recipe_source"):
        kept.pop(key)
    return kept


def begin(config: RunConfig, state: dict[str, Any], processes: int) -> dict[str, Any]:
    """The fields of a record that are known before training.

    Args:
        config: the cell.
        state: of the cell's claim: `started` and `attempts`.
        processes: how many processes share the run.
    """
    state_of_code = provenance.git()
    return {
        "schema_version": SCHEMA_VERSION,
        "cell": config.cell,
        "task": config.task.name,
        "model": config.model.name,
        "method": config.method.name,
        "seed": config.seed,
        "config": settings(config),
        "recipe_source": config.recipe_source,
        "versions": provenance.versions(),
        "git": state_of_code and Git(**state_of_code),
        "hardware": provenance.hardware(processes),
        "data_source": DataSource(data_identity(config.task, config.data_files)),
        "model_source": ModelSource(model_identity(config.model)),
        "started": state["started"],
        "attempts": state["attempts"],
    }


def finish(begun: dict[str, Any], result: Result, error: str | None, predictions: Predictions | None = None) -> Record:
    """The record of a run that has ended.

    Args:
        begun: what `begin` returned: the content that the cell was named by, even if a file has changed since.
        result: what the run has left.
        error: why it failed; None if it ended well.
        predictions: the file with the run's answers; None: not kept.
    """
    history = evaluations(result.logs)
    best = None if error else protocols.choose(history, "best")
    sources = {
        "data_source": replace(begun["data_source"], rows=result.rows, complete=result.complete),
        "model_source": replace(begun["model_source"], revision=result.revision),
    }
    return Record(
        **begun | sources,
        status=Status.FAILED if error else Status.DONE,
        score=best and best.score,
        metrics=best and best.metrics,
        metrics_halves=best and best.metrics_halves,
        params=result.params,
        tokens=result.tokens,
        time=costs(history, result.samples) if result.logs else None,
        peak_memory_mb=provenance.peak_memory_mb() if result.logs else None,
        finished=now(),
        error=error,
        history=history,
        losses=losses(result.logs),
        predictions=predictions,
        disk_bytes=result.disk_bytes,
        flops=result.flops,
        resumed_from=result.resumed_from,
        updates=result.updates,
        peak_reserved_mb=provenance.peak_reserved_mb() if result.logs else None,
    )
