"""What a sweep would cost, from the throughputs that finished runs recorded."""

import time
from collections import defaultdict
from functools import cached_property
from pathlib import Path
from statistics import median

import numpy as np

from dcft.results import records
from dcft.results.record import Record
from dcft.results.sweeps import Cell, Row


class Estimator:
    """Seconds of training and evaluation of a cell, from records of similar cells.

    Similar means the same backbone, and the same task and method as far as there are such records: first all three,
    then backbone and task, then the backbone alone. A record on another machine counts as any other.

    Args:
        results: folder of the records.
        work: of each cell without a similar record: seconds, times 10^9 operations a second of a large matrix product;
            None if unknown.
    """

    def __init__(self, results: Path, work: float | None = None):
        self._work = work
        self._rates = defaultdict(list)
        for record in records.read_all(results)[0].values():
            if rates := _rates(record):
                for key in _similar(record.model, record.task, record.method):
                    self._rates[key].append(rates)

    def seconds(self, cell: Cell, row: Row) -> float | None:
        """The estimate; None without a recorded run of this backbone and a known amount of work."""
        for key in _similar(row.model, cell.task, row.method):
            if rates := self._rates.get(key):
                training, evaluation = (median(column) for column in zip(*rates, strict=True))
                return cell.train_samples / training + cell.dev_samples / evaluation
        return self._work and self._work / self._matrix_rate

    @cached_property
    def _matrix_rate(self) -> float:
        return matrix_rate()


def matrix_rate() -> float:
    """The speed of a large matrix product on this machine's processors, in 10^9 operations a second: the best of five.

    The first product loads the library and is not counted.
    """
    side = 1024
    matrix = np.ones((side, side), np.float32)
    times = []
    for _ in range(6):
        started = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - started)
    return 2 * side**3 / min(times[1:]) / 1e9


def _similar(model: str, task: str, method: str) -> list[tuple[str, ...]]:
    """What runs are grouped by, from the most to the least alike."""
    return [(model, task, method), (model, task), (model,)]


def _rates(record: Record) -> tuple[float, float] | None:
    """Rows a second in training and in evaluation."""
    times, rows = record.time, record.data_source.rows
    if not (record.done and times and times.samples_per_s and times.eval_s and rows):
        return None
    limit = record.config["data"]["max_eval"]
    dev = sum(min(n, limit or n) for split, n in rows.items() if split != "train")
    return times.samples_per_s, dev * len(record.history) / times.eval_s


def duration(seconds: float) -> str:
    """Seconds as people say them: "40 s", "12 min", "3.4 h", "2.1 days"."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}" if size >= 3600 else f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
