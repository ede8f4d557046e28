"""What a sweep would cost: from the throughputs that finished runs recorded, else from the operations of a cell.

A guess from operations holds for this machine's processors, since a plan loads no torch and sees no GPU.
"""

import time
from collections import defaultdict
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import yaml

from dcft.config.conf import CONF
from dcft.paper import counts, flops
from dcft.results import records
from dcft.results.record import Record
from dcft.results.sweeps import Cell, Row

TOKENS = {  # mean tokens of a row by MiniLM's tokenizer: `python scripts/bench tokens`, results/bench/tokens.md
    **{"cola": 11, "sst2": 13, "mrpc": 53, "stsb": 28, "qnli": 51, "rte": 70, "squad_v1": 190, "squad_v2": 188},
    **{"toy_cls": 17, "toy_pair": 19, "toy_sim": 27, "toy_qa": 28},
}
OTHER_TOKENS = 50  # of a task that was not measured: MNLI, QQP, a user's own
BATCH = 32  # rows that share a projection of DeBERTa's positions; Table 9's batch
SHARE = 0.6  # of a step's time that its matrix products take: 0.5 to 0.9 in results/bench/step-*.md


class Estimate(NamedTuple):
    """What running a cell takes."""

    seconds: float
    guess: bool  # from operations instead of records


class Estimator:
    """Seconds of training and evaluation of a cell, from records of similar cells.

    Similar means the same backbone, and the same task and method as far as there are such records: first all three,
    then backbone and task, then the backbone alone, where rows count by their task's mean tokens (`TOKENS`). A record
    on another machine counts as any other. Without a record of the backbone it is a guess: operations of the backbone
    by formula, over this machine's matrix rate and `SHARE`.

    Args:
        results: folder of the records.
    """

    def __init__(self, results: Path):
        self._rates = defaultdict(list)
        for record in records.read_all(results)[0].values():
            if rates := _rates(record):
                for key in _similar(record.model, record.task, record.method):
                    self._rates[key].append(rates)

    def estimate(self, cell: Cell, row: Row) -> Estimate | None:
        """The estimate; None without a recorded run of this backbone and without its shape."""
        for key in _similar(row.model, cell.task, row.method):
            if rates := self._rates.get(key):
                training, evaluation = (median(column) for column in zip(*rates, strict=True))
                tokens = _tokens(cell.task)
                seconds = tokens * (cell.train_samples / training + cell.dev_samples / evaluation)
                return Estimate(seconds, guess=False)
        work = operations(cell, row)
        return work and Estimate(work / 1e9 / self._matrix_rate / SHARE, guess=True)

    @cached_property
    def _matrix_rate(self) -> float:
        return matrix_rate()


def operations(cell: Cell, row: Row) -> float | None:
    """Operations of the backbone in a cell, training and evaluations; None if the backbone's shape is unknown.

    Each row has the mean tokens of its task (`TOKENS`). Adapters, head and padding are left out: a few percent.
    """
    if (shape := shape_of(row.model)) is None:
        return None
    size = (shape, BATCH, _tokens(cell.task))
    training = cell.train_samples * flops.step(*size, backbone_trains=row.method == "full")
    return (training + cell.dev_samples * flops.forward(*size)) / BATCH


def shape_of(model: str) -> counts.Shape | None:
    """The sizes of a backbone in conf/model; None if they are known only where its weights are."""
    known = counts.SHAPES | counts.SUBSTITUTES
    path = CONF / "model" / f"{model}.yaml"
    if model in known or not path.is_file():
        return known.get(model)
    random = yaml.safe_load(path.read_text(encoding="utf-8")).get("random")
    if random is None:
        return None
    sizes = (random[f"{name}_size"] for name in ("hidden", "intermediate"))
    positions = 2 * random.get("position_buckets", 0)
    layers, heads = random["num_hidden_layers"], random["num_attention_heads"]
    return counts.Shape(*sizes, layers, vocabulary=0, relative_positions=positions, heads=heads)


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


def _tokens(task: str) -> int:
    """Mean tokens of a row."""
    return TOKENS.get(task, OTHER_TOKENS)


def _rates(record: Record) -> tuple[float, float] | None:
    """Tokens a second in training and in evaluation, if each row has its task's mean."""
    times, rows = record.time, record.data_source.rows
    if not (record.done and times and times.samples_per_s and times.eval_s and rows):
        return None
    limit = record.config["data"]["max_eval"]
    dev = sum(min(n, limit or n) for split, n in rows.items() if split != "train")
    tokens = _tokens(record.task)
    return tokens * times.samples_per_s, tokens * dev * len(record.history) / times.eval_s


def duration(seconds: float) -> str:
    """Seconds as people say them: "40 s", "12 min", "3.4 h", "2.1 days", "2.5 years"."""
    for unit, size in (("years", 365 * 86400), ("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}" if size >= 3600 else f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
