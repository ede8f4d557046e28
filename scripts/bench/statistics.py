"""What is told of times: medians, and ratios within a round. Nothing here imports torch."""

from statistics import median

import numpy as np


def ratios(times: list[float], floor: list[float]) -> list[float]:
    """Each time over the floor's of the same round: what slows down a whole round cancels."""
    return [one / other for one, other in zip(times, floor, strict=True)]


def spread(values: list[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile."""
    lower, upper = np.quantile(values, [0.25, 0.75])
    return median(values), float(lower), float(upper)
