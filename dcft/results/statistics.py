"""Mean, median and spread over seeds."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Summary:
    """Mean, median and sample standard deviation (ddof=1; None for one value)."""

    n: int
    mean: float
    median: float
    std: float | None


def summary(values: list[float | None]) -> Summary | None:
    """Mean, median and spread; None if there is no value or one is missing."""
    if not values or any(value is None for value in values):
        return None
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Summary(len(values), float(np.mean(values)), float(np.median(values)), spread)
