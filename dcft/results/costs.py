"""What a run costs, by kind: read from its record, in base units."""

from collections.abc import Callable
from dataclasses import dataclass

from dcft.results.record import Record

MEGA = 1_000_000


@dataclass(frozen=True)
class Cost:
    """One kind of cost."""

    title: str
    symbol: str  # of its unit; empty: a number
    of: Callable[[Record], float | None]  # None: the record does not say


def _step_seconds(record: Record) -> float | None:
    train_s = record.time and record.time.train_s
    return train_s / record.last.step if train_s and record.last else None


COSTS = {
    "params": Cost("Trained parameters without the head", "", lambda r: r.params and r.params.adapter),
    "trainable": Cost("Trained parameters with the head", "", lambda r: r.params and r.params.trainable),
    "bytes": Cost("Weights on disk", "B", lambda r: r.disk_bytes),
    "flops": Cost("Operations of a training step", "FLOP", lambda r: r.flops and r.flops.step),
    "prediction": Cost("Operations of a prediction", "FLOP", lambda r: r.flops and r.flops.prediction),
    "memory": Cost("Peak memory", "B", lambda r: r.peak_memory_mb and r.peak_memory_mb * MEGA),
    "reserved": Cost("Peak memory reserved on a GPU", "B", lambda r: r.peak_reserved_mb and r.peak_reserved_mb * MEGA),
    "seconds": Cost("Time of a training step", "s", _step_seconds),
}


def known(record: Record) -> bool:
    """Whether a record is of a version that keeps what the weights weigh; older ones have parameters and time alone."""
    return record.disk_bytes is not None
