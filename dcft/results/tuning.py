"""Equal tuning budgets: what the trials of a tuned sweep gave, and which one each row has on each task.

Every row runs all trials on every task (`tune:` in conf/table). One trial is chosen for all seeds together.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import comb, fsum, inf
from typing import NamedTuple

from dcft.results import protocols
from dcft.results.record import Record
from dcft.results.sweeps import Cell, Sweep

Place = tuple[int, str]  # the number of a row, and a task
BAND = (5, 95)  # quantiles of the best of n trials, in percent


@dataclass(frozen=True)
class Tuning:
    """The trials of each row and task."""

    scores: dict[Place, list[float | None]]  # by trial, see `judge`; only where no run is missing
    missing: dict[Place, int]  # runs without a record, where there are any
    defaults: dict[Place, int]  # the trial that is the row's own recipe, where the grid has it

    def chosen(self, place: Place) -> int | None:
        """The trial with the best score (the first of equals); None where a run is missing: no unequal budgets."""
        if place not in self.scores:
            return None
        values = [-inf if score is None else score for score in self.scores[place]]
        return values.index(max(values))

    def kept(self, cells: list[Cell]) -> list[Cell]:
        """The cells of the chosen trials. Where none can be run, the first trial's stand for all with their problem."""
        return [cell for cell in cells if cell.trial == (0 if cell.problem else self.chosen((cell.row, cell.task)))]


def judge(sweep: Sweep, found: Mapping[str, Record], protocol: str) -> Tuning:
    """Compare the trials of a sweep.

    The score of a trial is the mean over seeds of `protocols.choosing_score`, in percent. It is None if a run failed or
    has no score: such a trial counts as tried, and is the worst.

    Args:
        sweep: a sweep with trials.
        found: its records, by cell name.
        protocol: a key of `protocols.PROTOCOLS`.
    """
    cells: dict[Place, list[Cell]] = defaultdict(list)
    for cell in sweep.cells:
        cells[cell.row, cell.task].append(cell)
    missing = {place: sum(cell.name not in found for cell in runs) for place, runs in cells.items()}
    scores = {}
    for place, runs in cells.items():
        if not missing[place]:
            by_trial: dict[int, list[float | None]] = {number: [] for number in range(len(sweep.trials))}
            for cell in runs:
                record = found[cell.name]
                history = record.history if record.done else []
                by_trial[cell.trial].append(protocols.choosing_score(history, protocol))
            scores[place] = [_mean(values) for values in by_trial.values()]
    defaults = {(cell.row, cell.task): cell.trial for cell in sweep.cells if cell.default}
    return Tuning(scores, {place: count for place, count in missing.items() if count}, defaults)


def _mean(values: list[float | None]) -> float | None:
    return None if None in values else fsum(values) / len(values)


class Best(NamedTuple):
    """The best of n trials: its expectation, and the quantiles `BAND` of its distribution."""

    mean: float
    low: float
    high: float


def best_of(scores: list[float | None], n: int) -> Best | None:
    """The best score of n of the N trials, drawn without replacement; exact.

    The i-th smallest of the N scores is the best with probability C(i-1, n-1) / C(N, n). Dodge et al. (2019), "Show
    your work", draw with replacement; without, n = N gives the best trial itself.

    Args:
        scores: of all trials; None is worse than any score.
        n: from 1 to N.

    Returns:
        None if some draw of n trials has no score at all.
    """
    ordered = sorted(score for score in scores if score is not None)
    failed, draws = len(scores) - len(ordered), comb(len(scores), n)
    if n <= failed:
        return None
    ranked = list(enumerate(ordered, start=failed + 1))
    mean = fsum(comb(i - 1, n - 1) / draws * score for i, score in ranked)
    low, high = (next(score for i, score in ranked if 100 * comb(i, n) >= level * draws) for level in BAND)
    return Best(mean, low, high)
