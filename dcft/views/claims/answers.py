"""The questions of the results page with their comparisons, from the records in a results folder."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from dcft.errors import UserError
from dcft.paper import printed
from dcft.results.outcomes import Outcomes
from dcft.results.significance import holm
from dcft.results.sweeps import Sweep, read_all
from dcft.views.claims import printed as of_paper
from dcft.views.claims import steps
from dcft.views.claims.compare import AVERAGE, QUANTITIES, Difference
from dcft.views.claims.questions import QUESTIONS, SUBSTITUTE, TABLES, Question
from dcft.views.claims.verdict import UNMEASURED, verdict

PROTOCOL = "best"  # the paper's: "Optimal values are used as the final results"


@dataclass
class Answer:
    """A question with its comparisons, by task."""

    question: Question
    tasks: list[str]
    found: list[Difference]
    timed: bool = False  # by the benchmark: `found` has shapes of batches instead of tasks

    @property
    def deciding(self) -> list[int]:
        """The numbers of the comparisons that decide: those on the average, or on the question's only task.

        Times have no average over shapes: all decide.
        """
        single = self.timed or len(self.tasks) == 1
        return [i for i, one in enumerate(self.found) if single or one.task == AVERAGE]

    @property
    def verdict(self) -> tuple[str, str]:
        """The verdict, and why."""
        if self.found and not self.deciding:
            return UNMEASURED, "some tasks lack runs or predictions, or a run learned nothing"
        return verdict(self.question, [self.found[i] for i in self.deciding], self.found)


@dataclass(frozen=True)
class Findings:
    """What the records say on one backbone."""

    model: str
    results: Path
    cells: pd.DataFrame  # the printed figures (`dcft.paper.printed.cells`)
    sweeps: dict[str, Sweep]  # by table
    known: dict[str, Outcomes]  # by table
    answers: list[Answer]

    @property
    def substitute(self) -> bool:
        """Whether the backbone is not one of the paper's."""
        return self.model == SUBSTITUTE

    @property
    def title(self) -> str:
        """The backbone's title."""
        return next(row.model_title for sweep in self.sweeps.values() for row in sweep.rows)


def find(results: Path, model: str = SUBSTITUTE) -> Findings:
    """Answer all questions for one backbone.

    Args:
        results: the results folder.
        model: a name of conf/model.

    Raises:
        UserError: if no table of the questions has been planned for the backbone.
    """
    sweeps, known = _tables(results, model)
    if not sweeps:
        raise UserError(f"{results / 'sweeps'} has no table of model={model}; run make results MODEL={model} DATA=PATH")
    cells = printed.cells(printed.read())
    answers = [
        # Short runs share their machine with other programs: their times are no evidence, those of steps are.
        _timed(question, results, cells, model)
        if question.quantity == "step time" or (model == SUBSTITUTE and question.quantity == "training time")
        else _answer(question, known.get(question.table(model)), cells)
        for question in QUESTIONS
    ]
    _correct(answers)
    return Findings(model, results, cells, sweeps, known, answers)


def _tables(results: Path, model: str) -> tuple[dict[str, Sweep], dict[str, Outcomes]]:
    """The planned tables of a backbone, by table.

    Of several plans of one table, that with the fewest changed settings counts; of those, that with the most runs.
    """
    wanted = {names[model != SUBSTITUTE] for names in TABLES.values()} | {"minilm_rates"}
    sweeps: dict[str, Sweep] = {}
    known: dict[str, Outcomes] = {}
    for sweep in sorted(read_all(results), key=lambda sweep: len(sweep.overrides)):
        if sweep.table in wanted and {row.model for row in sweep.rows} == {model}:
            other, one = sweeps.get(sweep.table), Outcomes(sweep, results, PROTOCOL)
            if other is None or (
                len(sweep.overrides) == len(other.overrides) and len(one.done) > len(known[sweep.table].done)
            ):
                sweeps[sweep.table], known[sweep.table] = sweep, one
    return sweeps, known


def _answer(question: Question, outcomes: Outcomes | None, cells: pd.DataFrame) -> Answer:
    if outcomes is None:
        return Answer(question, [], [])
    numbers = {row.title: number for number, row in enumerate(outcomes.sweep.rows)}
    titles = {column.task: column.title for column in outcomes.sweep.columns}
    tasks = [task for task in titles if not question.tasks or task in question.tasks]
    found = []
    for theirs in question.theirs:
        if question.ours in numbers and theirs in numbers:
            for one in QUANTITIES[question.quantity](outcomes, numbers[question.ours], numbers[theirs], tasks):
                on = tasks if one.task == AVERAGE else [task for task in tasks if titles[task] == one.task]
                found.append(replace(one, printed=of_paper.difference(cells, question, theirs, on)))
    return Answer(question, tasks, found)


def _timed(question: Question, results: Path, cells: pd.DataFrame, model: str) -> Answer:
    """A question of time, answered by the benchmark's steps instead of runs."""
    found = steps.differences(question, results, model)
    found = [replace(one, printed=of_paper.difference(cells, question, one.theirs)) for one in found]
    return Answer(question, [], found, timed=True)


def _correct(answers: list[Answer]) -> None:
    """Give the comparisons that decide a p that is corrected: for all of runs, or for all of the question's steps.

    Comparisons of runs that are planned and not measured count with p = 1, so no p grows when they are measured.
    """
    of_runs = [answer for answer in answers if not answer.timed]
    for part in (of_runs, *([answer] for answer in answers if answer.timed)):
        places = [(answer, i) for answer in part for i in answer.deciding]
        planned = sum(len(answer.question.theirs) for answer in part) if part is of_runs else len(places)
        ps = [answer.found[i].p for answer, i in places] + [1.0] * (planned - len(places))
        for (answer, i), p in zip(places, holm(ps) if places else [], strict=False):
            answer.found[i] = replace(answer.found[i], holm=p)
