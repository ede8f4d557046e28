"""The results page in Markdown: each claim of the paper, what records say of it, and a verdict."""

from dcft.views.claims import sections, steps
from dcft.views.claims.answers import Answer, Findings
from dcft.views.tables.text import p_value

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


def page(found: Findings) -> str:
    """The page on one backbone."""
    title, known = found.title, found.known.values()
    scores = sections.scores(known)
    parts = [
        f"# Results on {title}",
        "This page is written by `make results` from the records in `results/`.",
        *(
            [
                f"**{title} is a substitute backbone, and runs are short.** A verdict speaks of {title} and of these "
                "tasks alone, and no number reproduces one of the paper's. Other programs ran on the same machine, so "
                "no run's time is compared: [a step's time](#time-of-a-step) is measured by itself."
            ]
            if found.substitute
            else []
        ),
        "## Verdicts",
        sections.table(["Claim", "Section", "Verdict", "Comparisons"], [_summary(answer) for answer in found.answers]),
        *(["## Scores", *scores] if scores else []),
        "## How to read the comparisons",
        METHOD.format(time=TIMES[found.substitute]),
    ]
    for answer in found.answers:
        if answer.found:
            parts += _section(answer)
    parts += ["## Updates", sections.UPDATES, sections.updates(known)]
    parts += ["## Time of a step", steps.text(found.cells), sections.table(steps.COLUMNS, steps.ratios(found.results))]
    for outcomes in known:
        if outcomes.tuning:
            parts += ["## Learning rates", sections.RATES, sections.trials(outcomes)]
    parts += ["## Runs", *sections.runs(found.sweeps, found.known, found.model)]
    return "\n\n".join(parts) + "\n"


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
