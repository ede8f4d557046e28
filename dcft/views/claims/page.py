"""The results page in Markdown: each claim of the paper, what records say of it, and a verdict."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from dcft.errors import UserError
from dcft.paper import printed
from dcft.results import atomic
from dcft.results.outcomes import Outcomes
from dcft.results.significance import holm
from dcft.results.sweeps import Sweep, read_all
from dcft.views.claims import printed as of_paper
from dcft.views.claims import sections, steps
from dcft.views.claims.compare import AVERAGE, QUANTITIES, Difference
from dcft.views.claims.questions import QUESTIONS, SUBSTITUTE, TABLES, Question
from dcft.views.claims.verdict import verdict
from dcft.views.tables.text import p_value

PROTOCOL = "best"  # the paper's: "Optimal values are used as the final results"
UNITS = {
    "score": "points",
    "training time": "% of the time",
    "learning curve": "points",
    "checkerboard": "% of the other",
}
METHOD = """\
- A difference is that of the row named first minus the other, on the same seeds. **Score**: points of the best
  evaluation on dev; intervals and tests are over seeds and dev rows together. **Learning curve**: points of the mean
  score over all evaluations of a run. **Checkerboard**: percent of the other row's
  [checkerboard](#updates), each over that of random updates. Curves, checkerboards and times are compared by a paired
  t test.
- {time}
- Verdicts follow from the comparisons on the average over tasks (`Avg.`), those of time from all shapes. p is corrected
  by Holm for all verdicts of this page. *Supported*: every comparison is significant (p < 0.05) for the claim.
  *Not supported*: one is significant against it, or the printed difference in time lies outside our interval.
  *Cannot be told*: neither.
- *Printed* is the paper's difference on the same tasks, with DeBERTaV3-base."""
TIMES = {  # by whether the backbone is the substitute
    True: "**Training time**: percent of the time of the other row's [step](#time-of-a-step), over rounds.",
    False: "**Training time**: percent of the other row's time, without evaluations.",
}


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
        return verdict(self.question, [self.found[i] for i in self.deciding])


def page(results: Path, model: str = SUBSTITUTE) -> str:
    """The page on one backbone, from the records in a results folder.

    Args:
        model: a name of conf/model.

    Raises:
        UserError: if no table of this page has been planned for the backbone.
    """
    sweeps = _sweeps(results, model)
    if not sweeps:
        raise UserError(f"{results / 'sweeps'} has no table of model={model}; run make results MODEL={model} DATA=PATH")
    cells = printed.cells(printed.read())
    known = {name: Outcomes(sweep, results, PROTOCOL) for name, sweep in sweeps.items()}
    substitute = model == SUBSTITUTE
    answers = [
        # Short runs share their machine with other programs: their times are no evidence, those of `steps` are.
        _timed(question, results, cells, model)
        if substitute and question.quantity == "training time"
        else _answer(question, known.get(question.table(model)), cells)
        for question in QUESTIONS
    ]
    _correct(answers)
    title = next(row.model_title for sweep in sweeps.values() for row in sweep.rows)
    parts = [
        f"# Results on {title}",
        "This page is written by `make results` from the records in `results/`.",
        *(
            [
                f"**{title} is a substitute backbone, and runs are short.** A verdict speaks of {title} and of these "
                "tasks alone, and no number reproduces one of the paper's. Other programs ran on the same machine, so "
                "no run's time is compared: [a step's time](#time-of-a-step) is measured by itself."
            ]
            if substitute
            else []
        ),
        "## Verdicts",
        sections.table(["Claim", "Section", "Verdict", "Comparisons"], [_summary(answer) for answer in answers]),
        *(["## Scores", *scores] if (scores := sections.scores(known.values())) else []),
        "## How to read the comparisons",
        METHOD.format(time=TIMES[substitute]),
    ]
    for answer in answers:
        if answer.found:
            parts += _section(answer)
    parts += ["## Updates", sections.UPDATES, sections.updates(known.values())]
    parts += ["## Time of a step", steps.text(cells), sections.table(steps.COLUMNS, steps.ratios(results))]
    for outcomes in known.values():
        if outcomes.tuning:
            parts += ["## Learning rates", sections.RATES, sections.trials(outcomes)]
    parts += ["## Runs", *sections.runs(sweeps, known.values(), model)]
    return "\n\n".join(parts) + "\n"


def write(results: Path, output: Path, model: str = SUBSTITUTE) -> Path:
    """Write the page; returns its path."""
    atomic.write(output, page(results, model))
    return output


def _sweeps(results: Path, model: str) -> dict[str, Sweep]:
    """The planned tables of a backbone, by table: of several with one table, that with the fewest changed settings."""
    wanted = {names[model != SUBSTITUTE] for names in TABLES.values()} | {"minilm_rates"}
    found: dict[str, Sweep] = {}
    for sweep in read_all(results):
        if sweep.table in wanted and {row.model for row in sweep.rows} == {model}:
            other = found.get(sweep.table)
            if other is None or len(sweep.overrides) < len(other.overrides):
                found[sweep.table] = sweep
    return found


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
    """Give the comparisons that decide a p that is corrected for all of them."""
    places = [(answer, i) for answer in answers for i in answer.deciding]
    ps = holm([answer.found[i].p for answer, i in places]) if places else []
    for (answer, i), p in zip(places, ps, strict=True):
        answer.found[i] = replace(answer.found[i], holm=p)


def _summary(answer: Answer) -> list[str]:
    word, why = answer.verdict
    return [answer.question.title, answer.question.section, f"**{word}**", why]


def _section(answer: Answer) -> list[str]:
    question = answer.question
    word, why = answer.verdict
    unit = UNITS[question.quantity]
    lines = [
        [
            f"{question.ours} − {one.theirs}",
            one.task,
            "" if one.printed is None else f"{one.printed:+.2f}",
            f"{one.mean:+.2f}",
            f"{one.interval[0]:+.2f} to {one.interval[1]:+.2f}",
            p_value(one.p),
            "" if one.holm is None else p_value(one.holm),
            str(one.repeats),
            "" if one.items is None else f"{one.items:,}",
        ]
        for one in answer.found
    ]
    by = ["Batch", "Rounds"] if answer.timed else ["Task", "Seeds"]
    heading = ["Comparison", by[0], "Printed", f"Ours ({unit})", "95 % interval", "p", "p (Holm)", by[1], "Dev rows"]
    return [
        f"## {question.title}",
        f"> {question.claim} (section {question.section})",
        f"**{word.capitalize()}**: {why}.",
        sections.table(heading, lines),
    ]
