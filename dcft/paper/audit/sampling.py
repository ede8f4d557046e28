"""Sampling errors of the difference between two printed scores, from the scores and the number of dev rows alone.

The paper prints no predictions, so every error is a pair of bounds. `narrow`: full pairing, both runs are right and
wrong on the same rows as far as their scores allow. `wide`: independence; runs that err on opposite rows are not
considered. An error is the standard deviation over dev sets of as many rows, drawn at random. Scores are fractions, not
percentages.
"""

from collections.abc import Callable
from functools import cache
from math import hypot, sqrt
from typing import NamedTuple

import numpy as np

Metric = Callable  # of three shares of all rows: true positives, predicted positives, actual positives
STEP = 1e-30  # of complex-step derivatives, which lose no digits
GRID = 2000  # shares of predicted positives that are tried; with 4000 no verdict changes


class Bounds(NamedTuple):
    """The least and the largest standard error of a difference."""

    narrow: float
    wide: float


def proportion(first: float, second: float, rows: int) -> Bounds:
    """Two accuracies: (d - gap^2) / N is the variance with a share d of rows on which one run alone is right.

    Full pairing is d = gap (McNemar, 1947); independence p(1-p)/N for each.
    """
    gap = abs(first - second)
    return Bounds(sqrt(gap * (1 - gap) / rows), sqrt((first * (1 - first) + second * (1 - second)) / rows))


def bounded(first: float, second: float, rows: int) -> Bounds:
    """Two means of row scores in [0, 1], as SQuAD's F1: a row's variance is p(1-p) at most.

    All rows can differ by the same amount, so full pairing bounds nothing: 0.
    """
    return Bounds(0.0, proportion(first, second, rows).wide)


def correlation(first: float, second: float, rows: int) -> Bounds:
    """Two correlations with the same labels; Pearson's, Spearman's or their mean, since the paper does not say.

    `wide` is Spearman's, the larger: (1 - r^2)^2 (1 + r^2/2) / (N - 3) each (Bonett and Wright, 2000). `narrow` is
    Pearson's, of normal scores, with the highest correlation between both runs that the two with the labels allow.
    """
    each = [(1 - r * r) * sqrt((1 + r * r / 2) / (rows - 3)) for r in (first, second)]
    highest = first * second + sqrt((1 - first**2) * (1 - second**2))
    return Bounds(sqrt(max(0.0, pearson_variance(first, second, highest, rows))), hypot(*each))


def pearson_variance(first: float, second: float, between: float, rows: int) -> float:
    """Variance of r1 - r2, two Pearson correlations with one variable, whose other variables correlate by `between`.

    Var r = (1 - r^2)^2 / (N - 1); the covariance is that of Pearson and Filon (1898).
    """
    rest = 1 - first**2 - second**2
    covariance = between * rest - first * second * (rest - between**2) / 2
    return ((1 - first**2) ** 2 + (1 - second**2) ** 2 - 2 * covariance) / (rows - 1)


def accuracy(hits, predicted, actual):
    """Accuracy from a confusion matrix."""
    return 1 - predicted - actual + 2 * hits


def f1(hits, predicted, actual):
    """F1 of the positive class."""
    return 2 * hits / (predicted + actual)


def accuracy_f1(hits, predicted, actual):
    """The mean of accuracy and F1."""
    return (accuracy(hits, predicted, actual) + f1(hits, predicted, actual)) / 2


def matthews(hits, predicted, actual):
    """Matthews correlation coefficient."""
    return (hits - predicted * actual) / np.sqrt(predicted * (1 - predicted) * actual * (1 - actual))


@cache
def confusion(metric: Metric, first: float, second: float, actual: float, rows: int) -> Bounds:
    """Two scores of a metric of the confusion matrix, by the delta method.

    The matrix is not printed: bounds are taken over the matrices that have the score and the share of positives
    `actual`. In full pairing both runs give as many rows of each class the same label as two matrices allow.
    """
    ours, theirs = matrices(metric, first, actual), matrices(metric, second, actual)
    wide = max(variance(metric, *ours, actual)) + max(variance(metric, *theirs, actual))
    narrow = 0.0
    one, other = influence(metric, *ours, actual), influence(metric, *theirs, actual)
    for label in (0, 1):
        share = (1 - actual, actual)[label]
        called = [(hits if label else predicted - hits) for hits, predicted in (ours, theirs)]
        called[0] = called[0][:, None]  # every matrix of the first run with every one of the second
        both = np.minimum(*called)
        parts = {(1, 1): both, (1, 0): called[0] - both, (0, 1): called[1] - both}
        parts[0, 0] = share - sum(parts.values())
        for (mine, yours), part in parts.items():
            narrow = narrow + part * (one[label, mine][:, None] - other[label, yours]) ** 2
    return Bounds(sqrt(max(0.0, np.min(narrow)) / rows), sqrt(wide / rows))


def matrices(metric: Metric, score: float, actual: float) -> tuple[np.ndarray, np.ndarray]:
    """Shares of true positives and of predicted positives, of confusion matrices with this score."""
    predicted = np.union1d(np.linspace(0, 1, GRID + 2)[1:-1], [actual, 1 - actual])  # these two: scores near 1 and 0
    least, most = metric(0.0, predicted, actual), metric(1.0, predicted, actual)  # linear between
    hits = (score - least) / (most - least)
    low, high = np.maximum(0, actual + predicted - 1), np.minimum(actual, predicted)
    possible = (hits > low - 1e-12) & (hits < high + 1e-12)
    return np.clip(hits, low, high)[possible], predicted[possible]


def influence(metric: Metric, hits: np.ndarray, predicted: np.ndarray, actual: float) -> np.ndarray:
    """What a row of class y that is called p adds to the score, times the number of rows: [y, p, matrix]."""
    point = [hits, predicted, np.full_like(hits, actual)]
    slopes = []
    for axis in range(3):
        moved = [value + 1j * STEP * (axis == index) for index, value in enumerate(point)]
        slopes.append(np.imag(metric(*moved)) / STEP)
    return np.array(
        [
            [
                sum(slope * (x - mean) for slope, x, mean in zip(slopes, (y * p, p, y), point, strict=True))
                for p in (0, 1)
            ]
            for y in (0, 1)
        ]
    )


def variance(metric: Metric, hits: np.ndarray, predicted: np.ndarray, actual: float) -> np.ndarray:
    """N times the variance of one score, for each matrix."""
    cells = np.array([[1 - actual - predicted + hits, predicted - hits], [actual - hits, hits]])
    return (cells * influence(metric, hits, predicted, actual) ** 2).sum(axis=(0, 1))


def either(*readings: Bounds) -> Bounds:
    """Bounds that hold for each of several readings of what is printed."""
    return Bounds(min(bounds.narrow for bounds in readings), max(bounds.wide for bounds in readings))


def mean(parts: list[Bounds]) -> Bounds:
    """The error of a mean over tasks, whose dev sets are independent."""
    return Bounds(*(hypot(*errors) / len(parts) for errors in zip(*parts, strict=True)))
