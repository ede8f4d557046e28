"""Which differences between methods are signal: intervals and tests over seeds and dev items together.

A score varies with the seed and with the items that happen to be in the dev set. For a mean over S seeds,

    SE² = V + max(0, W / S - (U - V) / (S - 1)),    V = var*(mean over seeds),  U = mean over seeds of var*,

where var* is the variance over bootstrap selections of items, the same selections for every run, and W is the sample
variance of the scores over seeds. The last term takes from W / S what varies with seed and item together, which V
counts already, as in studies with several readers of the same cases (Obuchowski and Rockette, 1995). Intervals use
Student's t with Satterthwaite's degrees of freedom, at least S - 1.
"""

from dataclasses import dataclass

import numpy as np

from dcft.results.items import RESAMPLES, Runs, selections

LEVEL = 0.95
SWAPS = 9999  # of approximate randomisation: p is at least 1e-4


@dataclass(frozen=True)
class Sample:
    """The scores of several runs, one a seed, and on selections of items; in percent."""

    scores: np.ndarray  # runs
    resampled: np.ndarray  # selections x runs
    items: int

    def __sub__(self, other: "Sample") -> "Sample":
        """The differences, run by run: both are of the same seeds and items."""
        return Sample(self.scores - other.scores, self.resampled - other.resampled, self.items)


@dataclass(frozen=True)
class Comparison:
    """How far one method is from another."""

    difference: float  # percent, mean over seeds
    interval: tuple[float, float]  # of the difference
    p: float  # two-sided
    wins: float | None  # of the items on which the two differ, the share with the smaller error; None: they never do


def sample(runs: list[Runs], name: str, count: int = RESAMPLES) -> list[Sample]:
    """Score the runs of several methods on the same bootstrap selections of a task's items.

    Args:
        runs: of each method.
        name: of the task.
        count: of selections.
    """
    drawn: list[list[np.ndarray]] = [[] for _ in runs]
    for weights in selections(runs[0].sizes, name, count):
        for one, parts in zip(runs, drawn, strict=True):
            parts.append(one.resampled(weights))
    items = sum(runs[0].sizes.values())
    return [Sample(one.scores, np.concatenate(parts), items) for one, parts in zip(runs, drawn, strict=True)]


def average(samples: list[Sample]) -> Sample:
    """The mean over tasks, seed by seed and selection by selection."""
    scores, resampled = (np.mean([getattr(one, key) for one in samples], axis=0) for key in ("scores", "resampled"))
    return Sample(scores, resampled, sum(one.items for one in samples))


def item_error(one: Sample) -> float:
    """The standard error that the dev set's items give the score of a single run, in percent."""
    return float(np.sqrt(one.resampled.var(axis=0, ddof=1).mean()))


def standard_error(one: Sample) -> tuple[float, float]:
    """The standard error of the mean over seeds, in percent, and its degrees of freedom.

    With a single run, only the items count: the error is that of this run, not of its method. With two seeds, the
    degrees of freedom are 1, because Satterthwaite's are too many there.
    """
    runs = len(one.scores)
    of_mean = float(one.resampled.mean(axis=1).var(ddof=1))
    if runs == 1:
        return of_mean**0.5, one.items - 1
    of_one = float(one.resampled.var(axis=0, ddof=1).mean())
    seeds = float(one.scores.var(ddof=1)) / runs
    square = of_mean + max(0.0, seeds - (of_one - of_mean) / (runs - 1))
    if square == 0:
        return 0.0, np.inf
    freedom = square**2 / (of_mean**2 / (one.items - 1) + seeds**2 / (runs - 1))
    return square**0.5, 1 if runs == 2 else max(freedom, runs - 1)


def interval(one: Sample) -> tuple[float, float]:
    """The 95 % interval of the mean over seeds, in percent."""
    from scipy.special import stdtrit

    error, freedom = standard_error(one)
    margin = error * float(stdtrit(freedom, (1 + LEVEL) / 2)) if error else 0.0
    mean = float(one.scores.mean())
    return mean - margin, mean + margin


def median_interval(one: Sample) -> tuple[float, float]:
    """The 95 % interval of the median over seeds, in percent, by the percentile bootstrap over seeds, then items.

    With few seeds it is too narrow.
    """
    generator = np.random.default_rng(0)
    seeds = generator.integers(0, len(one.scores), one.resampled.shape)
    medians = np.median(np.take_along_axis(one.resampled, seeds, axis=1), axis=1)
    low, high = np.quantile(medians, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def compare(ours: Sample, theirs: Sample, pair: tuple[Runs, Runs] | None = None) -> Comparison:
    """Compare two methods on the same seeds and items.

    Several seeds: a t test with `standard_error` of the differences. Single runs: a test on the items, see `items_p`.

    Args:
        ours, theirs: on the same task.
        pair: the runs themselves; None for an average over tasks, whose single runs are compared by the t test.
    """
    from scipy.special import stdtr

    both = ours - theirs
    difference = float(both.scores.mean())
    if pair and len(both.scores) == 1:
        p = items_p(*pair)
    else:
        error, freedom = standard_error(both)
        p = float(2 * stdtr(freedom, -abs(difference) / error)) if error else float(difference == 0)
    return Comparison(difference, interval(both), p, wins(*pair) if pair else None)


def items_p(ours: Runs, theirs: Runs) -> float:
    """Compare two single runs on their items: McNemar's exact test for an accuracy, else approximate randomisation.

    Approximate randomisation (Noreen, 1989) swaps the two answers to each item with probability 1/2: p is the share of
    `SWAPS` such exchanges whose difference in score is at least as large, the observed one counted among them.
    """
    if ours.accuracy:
        from scipy.stats import binomtest

        first, second = (runs.parts[0].errors[0] for runs in (ours, theirs))
        differ = int(np.sum(first != second))
        return float(binomtest(int(np.sum(first < second)), differ).pvalue) if differ else 1.0
    generator = np.random.default_rng(0)
    pairs = list(zip(ours.parts, theirs.parts, strict=True))
    swapped, swaps = [], {}
    for one, other in pairs:
        a, b = one.values[0], other.values[0]
        if one.split not in swaps:  # metrics on the same items share their exchanges
            same = [p.values[0] == q.values[0] for p, q in pairs if p.split == one.split]
            differ = ~np.concatenate(same, axis=1).all(axis=1)
            swaps[one.split] = differ, generator.integers(0, 2, (SWAPS, differ.sum())).astype(float)
        differ, exchanged = swaps[one.split]
        moved = exchanged @ (b - a)[differ] / len(a)
        swapped.append(one.metric(a.mean(axis=0) + moved) - one.metric(b.mean(axis=0) - moved))
    observed = abs(float(ours.scores[0] - theirs.scores[0]))
    extreme = np.abs(100 * np.mean(swapped, axis=0)) >= observed - 1e-9  # percent: the rounding of a score
    return float((extreme.sum() + 1) / (SWAPS + 1))


def wins(ours: Runs, theirs: Runs) -> float | None:
    """Of the items on which two methods' errors differ, the share on which ours is smaller, over all seeds."""
    pairs = list(zip(ours.parts, theirs.parts, strict=True))
    smaller = sum(int(np.sum(one.errors < other.errors)) for one, other in pairs)
    larger = sum(int(np.sum(one.errors > other.errors)) for one, other in pairs)
    return smaller / (smaller + larger) if smaller + larger else None


def holm(ps: list[float]) -> list[float]:
    """p values corrected for the number of comparisons (Holm, 1979), in the order given."""
    # statsmodels has this, and collects garbage at each call: 0.2 s.
    order = np.argsort(ps)
    steps = np.maximum.accumulate(np.sort(ps) * np.arange(len(ps), 0, -1)).clip(max=1)
    return steps[np.argsort(order)].tolist()


def chance_of_best(samples: list[Sample]) -> list[float]:
    """The share of two-level bootstrap selections, seeds and then items, in which each method's mean is the highest.

    Methods that share the highest mean share the selection.
    """
    generator = np.random.default_rng(0)
    seeds = generator.integers(0, len(samples[0].scores), samples[0].resampled.shape)
    means = np.stack([np.take_along_axis(one.resampled, seeds, axis=1).mean(axis=1) for one in samples])
    best = means >= means.max(axis=0) - 1e-9
    return (best / best.sum(axis=0)).mean(axis=1).tolist()


def ranks(samples: list[Sample], runs: list[Runs] | None) -> list[int]:
    """The rank of each method: 1, and 1 more for each method that is significantly better.

    Methods whose differences are within noise share a rank. All pairs are compared, corrected by Holm.

    Args:
        samples: of each method.
        runs: see `compare`.
    """
    pairs = [(i, j) for i in range(len(samples)) for j in range(i)]
    found = [compare(samples[i], samples[j], (runs[i], runs[j]) if runs else None) for i, j in pairs]
    ranks = [1] * len(samples)
    for (i, j), one, p in zip(pairs, found, holm([one.p for one in found]), strict=True):
        if p < 1 - LEVEL:
            ranks[i if one.difference < 0 else j] += 1
    return ranks
