"""Statistics over seeds: mean and spread, bootstrap intervals, paired comparisons. scipy is imported when needed."""

from dataclasses import dataclass

import numpy as np

RESAMPLES = 9999  # scipy's default
EXACT_SEEDS = 16  # with at most so many pairs, all 2^n signs are tried
LEVEL = 0.95


@dataclass
class Summary:
    """Mean and sample standard deviation (ddof=1; None for one value)."""

    n: int
    mean: float
    std: float | None


@dataclass
class Paired:
    """The mean difference of two methods over paired seeds; `interval` and `p` are None for one seed."""

    mean: float
    interval: tuple[float, float] | None
    p: float | None


def summary(values: list[float | None]) -> Summary | None:
    """Mean and spread; None if there is no value or one is missing."""
    if not values or any(value is None for value in values):
        return None
    return Summary(len(values), float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)


def interval(values: list[float]) -> tuple[float, float] | None:
    """The percentile bootstrap's 95 % interval of the mean; None for fewer than two values.

    With few values it is too narrow: with two it is the two values.
    """
    if len(values) < 2:
        return None
    if np.ptp(values) == 0:
        return values[0], values[0]
    from scipy.stats import bootstrap

    result = bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",  # BCa is undefined for some small samples
        random_state=np.random.default_rng(0),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def paired(ours: list[float], theirs: list[float]) -> Paired:
    """Compare two methods on the same seeds: mean difference, its interval, exact two-sided permutation test.

    p is the share of the 2^n exchanges within pairs whose sum of differences is at least as far from zero. So it is
    never below 2 / 2^n: with five seeds 0.0625, with six 0.03125. With more than `EXACT_SEEDS` pairs, `RESAMPLES`
    random exchanges stand for all, and the observed one is counted among them (Phipson and Smyth, 2010).
    """
    differences = np.subtract(ours, theirs)
    n = len(differences)
    if n < 2:
        return Paired(float(np.mean(differences)), None, None)
    # Scores are fractions, so equal sums are common, and rounding makes them differ in the last digits.
    rounding = 1e-12 * (np.abs(ours).sum() + np.abs(theirs).sum())
    if n <= EXACT_SEEDS:
        exchanged, observed = np.arange(2**n)[:, None] >> np.arange(n) & 1, 0
    else:
        exchanged, observed = np.random.default_rng(0).integers(0, 2, (RESAMPLES, n)), 1
    sums = (1 - 2 * exchanged) @ differences
    extreme = np.abs(sums) >= abs(differences.sum()) - rounding
    p = (extreme.sum() + observed) / (len(sums) + observed)
    return Paired(float(np.mean(differences)), interval(differences.tolist()), float(p))


def smallest_p(n: int) -> float:
    """The smallest p that the exact test can give with so many pairs."""
    return 2 / 2**n
