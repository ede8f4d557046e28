"""The results page in Markdown: each claim of the paper, what records say of it, and a verdict."""

from dcft.views.claims import sections, steps
from dcft.views.claims.answers import Answer, Findings
from dcft.views.claims.compare import SELECTIONS
from dcft.views.tables.published import MARKS
from dcft.views.tables.text import p_value

UNITS = {
    "score": "points",
    "training time": "% of the time",
    "step time": "% of the time",
    "learning curve": "points",
    "checkerboard": "% of the other",
}
METHOD = """\
- A difference is that of the row named first minus the other, on the same seeds.
- **Score**: the best evaluation on dev, in points: Matthews correlation on CoLA, Pearson correlation on STS-B, accuracy
  on other tasks. A test of scores is Student's t over seeds and dev rows together. The variance due to dev rows comes
  from {selections:,} bootstrap selections. With three seeds a small p is approximate: it is too small where scores vary
  more with the seed than with the dev rows ([simulation](design.md)).
- **Learning curve**: the mean score over all evaluations of a run, in percent of its best. 0 % is the score of giving
  each row the most frequent label. A paired t test over seeds compares two rows.
- **Checkerboard**: that of [learned updates](#updates). The paired t test compares logarithms.
- {time}
- A verdict on runs uses the `Avg.` row, or the row of the only task. A verdict on steps uses every row. A claim on most
  tasks is judged by the mean over tasks.
- *Supported*: every comparison is significant (p < 0.05, corrected) for the claim. *Not supported*: one is significant
  against it. *Cannot be told*: neither.
- *Significant both ways*: the same two rows differ significantly the other way on a single task (p < 0.05, not
  corrected), or in steps of another shape. Such a comparison counts for neither side.
- p is corrected by Holm for all comparisons of runs that decide a verdict of this page; those not measured yet count
  with p = 1. Comparisons of steps are corrected within their question. Intervals are not corrected, so one may exclude
  0 although the corrected p is above 0.05.
- *Printed* is the paper's difference with DeBERTaV3-base, for scores on the same tasks, for times the geometric mean
  over all tasks of its table."""
TIMES = {  # by whether the backbone is the substitute
    True: """\
**Training time**: that of a [step](#time-of-a-step), in percent of the other row's in the same round. A paired t test
  over rounds compares logarithms. An interval holds for one measurement, not for other shapes and machines.""",
    False: """\
**Training time**: that of a run without evaluations, in percent of the other row's. **Step time**: that of a
  [step](#time-of-a-step), in percent of the other row's in the same round. Paired t tests compare logarithms.""",
}


def page(found: Findings) -> str:
    """The page on one backbone."""
    title, known = found.title, found.known.values()
    scores = sections.scores(known)
    parts = [
        f"# Results on {title}",
        "This page is written by `make results` from the records in `results/`.",
        *(
            [
                f"**{title} is a substitute backbone, and runs are short.** A verdict holds for {title} and these "
                "tasks alone. No number reproduces one of the paper's. Runs shared their machine with other programs, "
                "so the times of [single steps](#time-of-a-step) are compared instead."
            ]
            if found.substitute
            else []
        ),
        "## Verdicts",
        sections.table(["Claim", "Paper", "Verdict", "Comparisons"], [_summary(answer) for answer in found.answers]),
        *(["## Scores", f"{MARKS[True]}.", *scores] if scores else []),
        "## How to read the comparisons",
        METHOD.format(time=TIMES[found.substitute], selections=SELECTIONS),
    ]
    for answer in found.answers:
        if answer.found:
            parts += _section(answer)
    parts += ["## Updates", sections.UPDATES, sections.updates(known)]
    parts += ["## Time of a step", steps.text(found.cells), sections.table(steps.COLUMNS, steps.ratios(found.results))]
    for outcomes in known:
        if outcomes.tuning:
            parts += ["## Learning rates", *sections.trials(outcomes)]
    parts += ["## Runs", *sections.runs(found.sweeps, found.known, found.model)]
    return "\n\n".join(parts) + "\n"


def _summary(answer: Answer) -> list[str]:
    word, why = answer.verdict
    return [answer.question.title, answer.question.place, f"**{word}**", why]


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
            *([f"{one.items:,}"] if one.items else []),
        ]
        for one in answer.found
    ]
    by = ["Batch and processor", "Rounds"] if answer.timed else ["Task", "Seeds"]
    heading = ["Comparison", by[0], "Printed", f"Ours ({unit})", "95 % interval", "p", "p (Holm)", by[1]]
    heading += ["Dev rows"] * (question.quantity == "score")
    return [
        f"## {question.title}",
        f"> {question.claim} ({question.place})",
        f"**{word.capitalize()}**: {why}.",
        sections.table(heading, lines),
    ]
