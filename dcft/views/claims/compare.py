"""One row of a sweep against another, on each task and on average over them."""

from collections.abc import Callable
from dataclasses import dataclass
from math import fsum

import numpy as np

from dcft.results import significance
from dcft.results.evaluation import Evaluation
from dcft.results.outcomes import Outcomes
from dcft.results.record import Record

AVERAGE = "Avg."
SELECTIONS = 20_000  # of dev rows: with 2,000 the corrected p of one comparison varied between 0.042 and 0.052


@dataclass(frozen=True)
class Difference:
    """Ours minus theirs: in points of the score or of its share of the best, or in percent of their number."""

    ours: str
    theirs: str
    task: str  # its title, or `AVERAGE`
    mean: float
    interval: tuple[float, float]  # 95 %
    p: float  # two-sided, of this comparison alone
    repeats: int  # seeds, or rounds of a measurement
    items: int | None = None  # dev rows that both answered; None: the quantity is none of single rows
    printed: float | None = None  # the same difference in the paper, on the same tasks
    holm: float | None = None  # p, corrected for all comparisons that a page plans (`answers.find`)


def score(outcomes: Outcomes, ours: int, theirs: int, tasks: list[str]) -> list[Difference]:
    """The scores by the outcomes' protocol, over seeds and dev rows together (`dcft.results.significance`)."""
    samples, found = [], []
    for task in tasks:
        runs = outcomes.runs(ours, task), outcomes.runs(theirs, task)
        if runs[0] and runs[1] and runs[0].sizes == runs[1].sizes:
            pair = significance.sample(list(runs), task, SELECTIONS)
            samples.append(pair)
            found.append((task, significance.compare(*pair, runs), pair[0].items))
    if len(found) == len(tasks) > 1:
        both = [significance.average([pair[side] for pair in samples]) for side in (0, 1)]
        found.append((AVERAGE, significance.compare(*both), both[0].items))
    return [
        _difference(outcomes, ours, theirs, task, float(one.difference), tuple(map(float, one.interval)), one.p, items)
        for task, one, items in found
    ]


def over_seeds(value: Callable[[Record], float | None], relative: bool) -> Callable[..., list[Difference]]:
    """Compare a number of each run by a paired t test over seeds.

    Args:
        value: the number, from a record.
        relative: compare logarithms, so that differences are in percent of theirs.
    """

    def compare(outcomes: Outcomes, ours: int, theirs: int, tasks: list[str]) -> list[Difference]:
        found = []
        for task in tasks:
            pairs = [[_value(outcomes, row, task, seed) for row in (ours, theirs)] for seed in outcomes.sweep.seeds]
            if len(pairs) > 1 and not any(number is None for pair in pairs for number in pair):
                found.append((task, moved(np.array(pairs), relative)))
        if len(found) == len(tasks) > 1:
            found.append((AVERAGE, np.mean([one for _, one in found], axis=0)))
        return [_difference(outcomes, ours, theirs, task, *paired(one, relative)) for task, one in found]

    def _value(outcomes: Outcomes, row: int, task: str, seed: int) -> float | None:
        record = outcomes.records.get((row, task, seed))
        return value(record) if record and record.done else None

    return compare


def moved(pairs: np.ndarray, relative: bool) -> np.ndarray:
    """Ours minus theirs, pair by pair; of logarithms if differences are relative."""
    numbers = np.log(pairs) if relative else pairs
    return numbers[:, 0] - numbers[:, 1]


def paired(differences: np.ndarray, relative: bool) -> tuple[float, tuple[float, float], float]:
    """The mean of differences, its 95 % interval and the p of a paired t test; in percent if they are relative."""
    from scipy.stats import ttest_1samp

    if not differences.any():  # two rows that both learn nothing
        return 0.0, (0.0, 0.0), 1.0
    test = ttest_1samp(differences, 0)
    numbers = [differences.mean(), *test.confidence_interval()]
    mean, low, high = (float(100 * np.expm1(x) if relative else x) for x in numbers)
    return mean, (low, high), float(test.pvalue)


def _difference(outcomes, ours, theirs, task, mean, interval, p, items=None) -> Difference:
    rows = outcomes.sweep.rows
    titles = {column.task: column.title for column in outcomes.sweep.columns}
    seeds = len(outcomes.sweep.seeds)
    return Difference(rows[ours].title, rows[theirs].title, titles.get(task, task), mean, interval, p, seeds, items)


def learning_curve(outcomes: Outcomes, ours: int, theirs: int, tasks: list[str]) -> list[Difference]:
    """The learning curves of two rows, by a paired t test over seeds."""
    floors = {task: outcomes.floor(task) for task in tasks}
    compare = over_seeds(lambda record: curve(record.history, floors[record.task]), relative=False)
    return compare(outcomes, ours, theirs, tasks)


def curve(history: list[Evaluation], floor: float | None) -> float | None:
    """The mean over evaluations of what a run has learned, in percent of what it has learned at its best.

    A run that converges earlier has more. None for a run that learns nothing.

    Args:
        history: the evaluations of a run.
        floor: the score of a run that has learned nothing, in percent.
    """
    if not history or floor is None or any(one.score is None for one in history):
        return None
    learned = [one.score - floor for one in history]
    return 100 * fsum(learned) / len(learned) / max(learned) if max(learned) > 0 else None


QUANTITIES: dict[str, Callable[..., list[Difference]]] = {
    "score": score,
    "training time": over_seeds(lambda record: record.time and record.time.train_s, relative=True),
    "learning curve": learning_curve,
    "checkerboard": over_seeds(lambda record: record.updates and record.updates.checkerboard, relative=True),
}
