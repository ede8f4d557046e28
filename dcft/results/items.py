"""Scores on resampled dev items: what a run would score on another dev set of the same kind.

Every metric of a score is a function of means over items. So a selection of items is a vector of weights, and many
selections are one matrix product.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dcft.results.predictions import halves

if TYPE_CHECKING:
    import pyarrow

RESAMPLES = 2000  # an error of 1.6 % in each sampling error
CHUNK = 4_000_000  # items drawn at once: 32 MB of weights


def _right(given: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return (given == labels)[..., None]


def _confusion(given: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """True positives, true negatives, false positives, false negatives; class 1 is the positive one."""
    given, true = given == 1, labels == 1
    return np.stack([given & true, ~given & ~true, given & ~true, ~given & true], axis=-1)


def _moments(given: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """x, y, x², y² and xy of standardised values: without, nearly constant predictions would lose their digits."""
    x, y = _standardised(given), np.broadcast_to(_standardised(labels), given.shape)
    return np.stack([x, y, x * x, y * y, x * y], axis=-1)


def _standardised(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=-1, keepdims=True)
    return centred / np.maximum(np.abs(centred).max(axis=-1, keepdims=True), np.finfo(float).tiny)


def _first(means: np.ndarray) -> np.ndarray:
    return means[..., 0]


def _f1(means: np.ndarray) -> np.ndarray:
    tp, _, fp, fn = np.moveaxis(means, -1, 0)
    return _ratio(2 * tp, 2 * tp + fp + fn)


def _matthews(means: np.ndarray) -> np.ndarray:
    tp, tn, fp, fn = np.moveaxis(means, -1, 0)
    return _ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


def _pearson(means: np.ndarray) -> np.ndarray:
    x, y, xx, yy, xy = np.moveaxis(means, -1, 0)
    return _ratio(xy - x * y, np.sqrt(np.maximum(xx - x * x, 0) * np.maximum(yy - y * y, 0)))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """0 where both are 0, as scikit-learn defines F1 and Matthews there."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


METRICS: dict[str, tuple[Callable, Callable]] = {  # the values of each item, and the metric from their means
    "accuracy": (_right, _first),
    "f1": (_confusion, _f1),
    "matthews": (_confusion, _matthews),
    "pearson": (_moments, _pearson),
}


@dataclass
class Part:
    """One metric of a score on one dev set."""

    split: str
    values: np.ndarray  # runs x items x values
    errors: np.ndarray  # runs x items, from 0: a wrong answer is 1, a number its distance, a text 1 - its F1
    metric: Callable[[np.ndarray], np.ndarray]  # of means of the values, on the last axis


class Runs:
    """The answers of several runs, one a seed, to the same items.

    Args:
        tables: the answers of each run, as `dcft.results.predictions` describes them.
        metrics: the names of the metrics whose mean is the score.
        half: of each dev set, the half that counts, 0 or 1; None: all of it.

    Raises:
        KeyError: for a metric that cannot be resampled.
    """

    def __init__(self, tables: "list[pyarrow.Table]", metrics: list[str], half: int | None = None):
        self.accuracy = metrics == ["accuracy"]
        self.parts = [self._part(tables, name, half) for name in metrics]

    @staticmethod
    def _part(tables: "list[pyarrow.Table]", name: str, half: int | None) -> Part:
        base = name.removesuffix("_mismatched")
        split = "dev" + name.removeprefix(base)
        rows = np.flatnonzero(np.array(tables[0]["split"].to_pylist()) == split)
        rows = rows if half is None else rows[halves(len(rows))[half]]

        def column(table, key):
            return table[key].to_numpy()[rows].astype(float)

        if "null_score" in tables[0].column_names:  # SQuAD: each question has its own scores
            exact_or_f1, f1 = (np.stack([column(table, key) / 100 for table in tables]) for key in (base, "f1"))
            return Part(split, exact_or_f1[..., None], 1 - f1, _first)
        features, metric = METRICS[base]
        given, labels = np.stack([column(table, "prediction") for table in tables]), column(tables[0], "label")
        if features is _confusion and labels.max() > 1:
            raise KeyError(f"{name} of more than two classes")
        errors = np.abs(given - labels) if base == "pearson" else given != labels
        return Part(split, features(given, labels).astype(float), errors.astype(float), metric)

    @property
    def sizes(self) -> dict[str, int]:
        """The number of items, by dev set."""
        return {part.split: part.values.shape[1] for part in self.parts}

    @property
    def scores(self) -> np.ndarray:
        """The score of each run, in percent."""
        return 100 * np.mean([part.metric(part.values.mean(axis=1)) for part in self.parts], axis=0)

    def resampled(self, weights: dict[str, np.ndarray]) -> np.ndarray:
        """The score of each run on selections of items, in percent: `selections x runs`.

        Args:
            weights: by dev set, `selections x items`; each selection sums to 1.
        """
        scores = []
        for part in self.parts:
            runs, items, values = part.values.shape
            flat = part.values.transpose(1, 0, 2).reshape(items, runs * values)
            scores.append(part.metric((weights[part.split] @ flat).reshape(-1, runs, values)))
        return 100 * np.mean(scores, axis=0)


def constant(table: "pyarrow.Table", metrics: list[str]) -> float:
    """The score of a run that gives each item the most frequent label, in percent: 0 for correlations.

    Args:
        table: the answers of any run; its labels count.
        metrics: see `Runs`.
    """
    import pyarrow

    labels, counts = np.unique(table["label"].to_numpy(), return_counts=True)
    answers = pyarrow.array(np.full(len(table), labels[counts.argmax()]))
    given = table.set_column(table.column_names.index("prediction"), "prediction", answers)
    return float(Runs([given], metrics).scores[0])


def selections(sizes: dict[str, int], name: str, count: int) -> Iterator[dict[str, np.ndarray]]:
    """Bootstrap selections of the items of a task, in chunks, the same at each call.

    Args:
        sizes: the number of items, by dev set.
        name: of the task: two tasks draw independently.
        count: how many selections in all.

    Yields:
        Weights for `Runs.resampled`.
    """
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    chunk = max(1, CHUNK // sum(sizes.values()))
    for start in range(0, count, chunk):
        rows = min(chunk, count - start)
        yield {split: _drawn(generator, rows, size) / size for split, size in sizes.items()}


def _drawn(generator: np.random.Generator, rows: int, size: int) -> np.ndarray:
    """How often each of `size` items is drawn, in `rows` draws of `size` with replacement."""
    drawn = generator.integers(0, size, (rows, size)) + size * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
