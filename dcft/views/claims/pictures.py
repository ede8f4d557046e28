"""The figure of the results page: differences in score with their intervals, and those that the paper prints."""

from dcft.views.claims.answers import Findings
from dcft.views.claims.compare import AVERAGE, Difference
from dcft.views.figures import Picture, style

TITLE = "Differences in score, and those that the paper prints"
NOTE = """\
Ours: {model}. Points of the mean over the tasks of a table, or of the task named: the first row minus the other, on the
same seeds; 95 % intervals over seeds and dev rows, not corrected for the number of comparisons. Small marks: single
tasks. Paper: the same, DeBERTaV3-base."""
LONG = 40  # characters of a label on one line


def _label(one: Difference) -> str:
    label = f"{one.ours} − {one.theirs}" + (f", {one.task}" if one.task != AVERAGE else "")
    return label if len(label) <= LONG else label.replace(" − ", "\n− ")


def pictures(found: Findings) -> list[Picture]:
    """One figure, with a line for each comparison of scores that decides a verdict and that the paper prints too.

    None without such a comparison.
    """
    lines = [
        (answer.found[i], [one for one in answer.found if one.theirs == answer.found[i].theirs])
        for answer in found.answers
        for i in answer.deciding
        if answer.question.quantity == "score" and answer.found[i].printed is not None
    ]
    if not lines:
        return []
    with style.style():
        figure, [[axes]] = style.new(1, 1, height=1.2 + 0.35 * len(lines), width=6.4)
        ours, paper = style.look(0) | {"linestyle": ""}, style.printed_look(0) | {"linestyle": ""}
        for place, (mean, all_tasks) in zip(range(len(lines), 0, -1), lines, strict=True):
            low, high = mean.interval
            axes.errorbar([mean.mean], [place], xerr=[[mean.mean - low], [high - mean.mean]], label="ours", **ours)
            tasks = [one.mean for one in all_tasks if one is not mean]
            axes.plot(tasks, [place] * len(tasks), label="ours, by task", **ours | {"marker": "|", "markersize": 8})
            axes.plot([mean.printed], [place - 0.2], label="paper", **paper)
        axes.axvline(0, color=style.GREY, linewidth=1)
        axes.set_yticks(range(len(lines), 0, -1), [_label(mean) for mean, _ in lines])
        axes.set_ylim(0.4, len(lines) + 0.6)
        axes.set_xlabel("Difference in score (points)")
        style.legend(figure)
        tags = [f"substitute backbone {found.title}"] if found.substitute else []
        note = NOTE.format(model=found.title)
        style.annotate(figure, TITLE, tags, note)
        style.settle(figure)
    return [Picture(f"claims.{found.model}", "; ".join([TITLE, *tags]), note, figure)]
