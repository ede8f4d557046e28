"""One row of a sweep against another, on each task and on average over them."""

from collections.abc import Callable
from dataclasses import dataclass
from math import fsum

import numpy as np

from dcft.results import significance
from dcft.results.outcomes import Outcomes
from dcft.results.record import Record

AVERAGE = "Avg."


@dataclass(frozen=True)
class Difference:
    """Ours minus theirs: in points of the score, or in percent of their time."""

    ours: str
    theirs: str
    task: str  # its title, or `AVERAGE`
    mean: float
    interval: tuple[float, float]  # 95 %
    p: float  # two-sided, of this comparison alone
    seeds: int
    items: int | None = None  # dev rows that both answered; None: the quantity is none of single rows
    printed: float | None = None  # the same difference in the paper, on the same tasks
    holm: float | None = None  # p, corrected for all comparisons that a page decides by


def score(outcomes: Outcomes, ours: int, theirs: int, tasks: list[str]) -> list[Difference]:
    """The scores by the outcomes' protocol, over seeds and dev rows together (`dcft.results.significance`)."""
    samples, found = [], []
    for task in tasks:
        runs = outcomes.runs(ours, task), outcomes.runs(theirs, task)
        if runs[0] and runs[1] and runs[0].sizes == runs[1].sizes:
            pair = significance.sample(list(runs), task)
            samples.append(pair)
            found.append((task, significance.compare(*pair, runs), pair[0].items))
    if len(found) == len(tasks) > 1:
        both = [significance.average([pair[side] for pair in samples]) for side in (0, 1)]
        found.append((AVERAGE, significance.compare(*both), both[0].items))
    return [
        _difference(outcomes, ours, theirs, task, one.difference, one.interval, one.p, items)
        for task, one, items in found
    ]


def over_seeds(value: Callable[[Record], float | None], relative: bool) -> Callable[..., list[Difference]]:
    """Compare a number of each run by a paired t test over seeds.

    Args:
        value: the number, from a record.
        relative: compare logarithms, so that differences are in percent of theirs.
    """

    def compare(outcomes: Outcomes, ours: int, theirs: int, tasks: list[str]) -> list[Difference]:
        from scipy.stats import ttest_1samp

        found, rows = [], []
        for task in tasks:
            pairs = [[_value(outcomes, row, task, seed) for row in (ours, theirs)] for seed in outcomes.sweep.seeds]
            if len(pairs) > 1 and not any(number is None for pair in pairs for number in pair):
                numbers = np.log(pairs) if relative else np.array(pairs)
                rows.append(numbers[:, 0] - numbers[:, 1])
                found.append((task, rows[-1]))
        if len(found) == len(tasks) > 1:
            found.append((AVERAGE, np.mean(rows, axis=0)))
        differences = []
        for task, moved in found:
            test = ttest_1samp(moved, 0)
            numbers = [moved.mean(), *test.confidence_interval()]
            mean, low, high = (100 * np.expm1(x) if relative else x for x in numbers)
            differences.append(_difference(outcomes, ours, theirs, task, mean, (low, high), float(test.pvalue)))
        return differences

    def _value(outcomes: Outcomes, row: int, task: str, seed: int) -> float | None:
        record = outcomes.records.get((row, task, seed))
        return value(record) if record and record.done else None

    return compare


def _difference(outcomes, ours, theirs, task, mean, interval, p, items=None) -> Difference:
    rows, low, high = outcomes.sweep.rows, *map(float, interval)
    titles = {column.task: column.title for column in outcomes.sweep.columns}
    title = titles.get(task, task)
    seeds = len(outcomes.sweep.seeds)
    return Difference(rows[ours].title, rows[theirs].title, title, float(mean), (low, high), p, seeds, items)


def _mean_score(record: Record) -> float | None:
    """The mean score over a run's evaluations: the area below its learning curve."""
    scores = [one.score for one in record.history]
    return None if None in scores or not scores else fsum(scores) / len(scores)


QUANTITIES: dict[str, Callable[..., list[Difference]]] = {
    "score": score,
    "training time": over_seeds(lambda record: record.time and record.time.train_s, relative=True),
    "learning curve": over_seeds(_mean_score, relative=False),
}
