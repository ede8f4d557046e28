"""Captions and notes of tuned sweeps: the trials, the chosen ones, and where some are missing."""

from typing import Any

from dcft.results import protocols
from dcft.results.outcomes import Outcomes
from dcft.results.tuning import Place
from dcft.views.tables.text import few


def facts(outcomes: Outcomes) -> list[str]:
    """For captions: how many trials of what, and by what they are chosen; empty for a sweep without trials."""
    trials = outcomes.sweep.trials
    if not trials:
        return []
    whole = protocols.PROTOCOLS[outcomes.protocol].half is None
    chosen = "the best on the dev set is shown" if whole else "the best on that half is shown, on the other half"
    return [f"{len(trials)} trials of {', '.join(trials[0])} for every row and task; {chosen}"]


def lines(outcomes: Outcomes) -> list[str]:
    """For notes: the grid, how and what was chosen, and what is blank; empty for a sweep without trials."""
    sweep, tuning = outcomes.sweep, outcomes.tuning
    if not tuning:
        return []
    grid = "; ".join(f"{key} = {', '.join(_values(sweep.trials, key))}" for key in sweep.trials[0])
    whole = protocols.PROTOCOLS[outcomes.protocol].half is None
    found = [
        f"Trials: {grid}; every row has all of them on every task. One is chosen for all seeds, by the mean of its "
        + ("score, which is also shown: that flatters it." if whole else "score on the half that is not shown.")
    ]
    if tuning.scores:
        chosen = [f"{_name(outcomes, place)}: {_trial(outcomes, place)}" for place in tuning.scores]
        found.append(f"Chosen: {'; '.join(chosen)}.")
    if failed := sum(scores.count(None) for scores in tuning.scores.values()):
        total = len(sweep.trials) * len(tuning.scores)
        found.append(f"Trials that failed or have no score, and count as the worst: {failed} of {total}.")
    runs = len(sweep.trials) * len(sweep.seeds)
    blocked = {(cell.row, cell.task) for cell in sweep.cells if cell.problem}
    missing = [
        f"{_name(outcomes, place)} ({count} of {runs} runs)"
        for place, count in tuning.missing.items()
        if place not in blocked
    ]
    if missing:
        found.append(f"Trials without record; blank, as budgets must be equal: {few(missing)}.")
    return found


def _values(trials: list[dict[str, Any]], key: str) -> list[str]:
    return list(dict.fromkeys(str(trial[key]) for trial in trials))


def _trial(outcomes: Outcomes, place: Place) -> str:
    """The chosen trial in words."""
    number = outcomes.tuning.chosen(place)
    settings = " ".join(f"{key}={value}" for key, value in outcomes.sweep.trials[number].items())
    return settings + (" (its default)" if outcomes.tuning.defaults.get(place) == number else "")


def _name(outcomes: Outcomes, place: Place) -> str:
    """A row and a task in words; the backbone only if there are several."""
    number, task = place
    row = outcomes.sweep.rows[number]
    several = len({row.model for row in outcomes.sweep.rows}) > 1
    title = next(column.title for column in outcomes.sweep.columns if column.task == task)
    return ", ".join([row.title, *([row.model_title] if several else []), title])
