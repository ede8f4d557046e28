"""What tuning buys: the expected best score against the number of trials (Dodge et al., 2019)."""

from matplotlib.figure import Figure

from dcft.results.tuning import best_of
from dcft.views.figures import style
from dcft.views.figures.evidence import Evidence

BANDS = 4  # the bands of more rows cover one another


def tuning(evidence: Evidence) -> Figure | None:
    """Expected best score of n trials, a panel a task, a line a row; None for a sweep without trials.

    A row whose trials are not complete has no line. A line begins where every draw of n trials has a score.
    """
    tuned = evidence.own.outcomes.tuning
    if not tuned or not tuned.scores:
        return None
    rows, trials = evidence.sweep.rows, len(evidence.sweep.trials)
    several = len({row.model for row in rows}) > 1
    tasks = [column.task for column in evidence.sweep.columns if any(task == column.task for _, task in tuned.scores)]
    figure, [panels] = style.new(1, len(tasks), height=4.2, width=5.2)
    for axes, task in zip(panels, tasks, strict=True):
        marked = None
        for number, row in enumerate(rows):
            scores = tuned.scores.get((number, task))
            if scores is None:
                continue
            look = style.look(number)
            bests = {n: best for n in range(1, trials + 1) if (best := best_of(scores, n))}
            title = f"{row.title}, {row.model_title}" if several else row.title
            axes.plot(list(bests), [best.mean for best in bests.values()], label=title, **look)
            if len(rows) <= BANDS:
                bounds = [best.low for best in bests.values()], [best.high for best in bests.values()]
                axes.fill_between(list(bests), *bounds, color=look["color"], alpha=0.1, linewidth=0)
            default = tuned.defaults.get((number, task))
            if default is not None and scores[default] is not None:
                hollow = look | {"linestyle": "", "fillstyle": "none", "markersize": 10}
                (marked,) = axes.plot(1, scores[default], **hollow)
        if marked:
            marked.set_label("empty mark: default recipe")
        axes.set_xticks(range(1, trials + 1))
        axes.set_xlabel("Number of trials n")
        axes.set_ylabel("Expected best score on dev (%)")
        axes.set_title(evidence.title(task))
    style.legend(figure)
    return figure
