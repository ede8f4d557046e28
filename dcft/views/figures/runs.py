"""Figures of training itself, from a sweep's own records: Figure 2 (time) and Figure 3 (curves) of the paper."""

from collections.abc import Sequence
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dcft.results.sweeps import Row
from dcft.views.figures import style
from dcft.views.figures.evidence import Evidence
from dcft.views.time_units import unit_for

METHODS = ("dcft", "lora")  # that both figures compare
FIGURE2_TASKS = ("cola", "rte", "mrpc", "qnli")  # of the paper's Figure 2
FIGURE3_TASK = "sst2"  # of the paper's Figure 3
CURVE_POINTS = 100  # a curve of more losses is drawn as means of neighbours


def _compared(evidence: Evidence, task: str | None = None) -> dict[str, list[Row]]:
    """The rows of both methods with records (on a task), by backbone; backbones with only one of them left out."""
    by_model: dict[str, list[Row]] = {}
    for row in evidence.sweep.rows:
        tasks = evidence.own.tasks([row])
        if row.method in METHODS and tasks and (task is None or task in tasks):
            by_model.setdefault(row.model, []).append(row)
    return {model: rows for model, rows in by_model.items() if len({row.method for row in rows}) == len(METHODS)}


def figure2(evidence: Evidence) -> Figure | None:
    """Training time of DCFT and LoRA, a group of bars a task; None without records of both."""
    panels = _compared(evidence)
    planned = [column.task for column in evidence.sweep.columns]
    chosen = list(FIGURE2_TASKS) if set(FIGURE2_TASKS) <= set(planned) else planned
    tasks = [task for task in chosen if task in evidence.own.tasks([row for rows in panels.values() for row in rows])]
    if not panels or not tasks:
        return None
    width = max(4.4, 0.55 * len(tasks) * max(map(len, panels.values())) + 1)
    figure, axes = style.new(1, len(panels), width=width)
    titles = _titles(panels)
    for panel, rows in zip(axes[0], panels.values(), strict=True):
        _bars(panel, evidence, rows, tasks, titles)
    style.legend(figure)
    return figure


def _titles(panels: dict[str, list[Row]]) -> list[str]:
    """Every row title once: a title looks the same in all panels, and two titles never look the same."""
    return list(dict.fromkeys(row.title for rows in panels.values() for row in rows))


def _bars(axes: Axes, evidence: Evidence, rows: list[Row], tasks: list[str], titles: list[str]) -> None:
    times = [[evidence.own.mean(row, [task], "time") for task in tasks] for row in rows]
    unit = unit_for(max((time.value for line in times for time in line if time), default=0))
    width = 0.8 / len(rows)
    for i, row in enumerate(rows):
        bars = {j: time for j, time in enumerate(times[i]) if time}
        kind = titles.index(row.title)
        drawn = axes.bar(
            [j + (i - (len(rows) - 1) / 2) * width for j in bars],
            [time.value / unit.seconds for time in bars.values()],
            width,
            yerr=[(time.spread or 0) / unit.seconds for time in bars.values()]
            if len(evidence.sweep.seeds) > 1
            else None,
            capsize=2,
            label=row.title,
            facecolor=style.BARS[kind % len(style.BARS)],
            edgecolor="black",
            linewidth=0.7,
            hatch=style.HATCHES[kind % len(style.HATCHES)],
        )
        axes.bar_label(drawn, fmt="%.3g", fontsize=7, padding=2)
    axes.set_xticks(range(len(tasks)), [evidence.title(task) for task in tasks])
    axes.set_xlim(-0.6, len(tasks) - 0.4)
    axes.grid(axis="x", visible=False)
    axes.set_ylabel(f"Training time ({unit.name}), without evaluations")
    axes.set_title(rows[0].model_title)
    axes.margins(y=0.12)


def figure3(evidence: Evidence) -> Figure | None:
    """Score and loss of DCFT and LoRA against steps, on SST-2 or the sweep's first task; None without records."""
    planned = [column.task for column in evidence.sweep.columns]
    task = FIGURE3_TASK if FIGURE3_TASK in planned else planned[0]
    panels = _compared(evidence, task)
    if not panels:
        return None
    column = next(column for column in evidence.sweep.columns if column.task == task)
    figure, axes = style.new(len(panels), 2)
    titles = _titles(panels)
    for (scores, losses), rows in zip(axes, panels.values(), strict=True):
        for row in rows:
            records = evidence.own.records(row, task)
            look = style.look(titles.index(row.title))
            score = [[(e.step, e.score) for e in r.history if e.score is not None] for r in records]
            _curve(scores, score, row.title, **look)
            dev = [[(e.step, e.loss) for e in r.history] for r in records]
            _curve(losses, dev, None, **look)
            train = [_thinned(r.losses) for r in records]
            _curve(losses, train, None, **look | {"marker": "", "linewidth": 0.8, "alpha": 0.6})
        name = " and ".join(metric.replace("_", " ") for metric in column.score) or "score"
        scores.set_ylabel(f"{name.capitalize()} on dev (%)")
        losses.set_ylabel("Loss: on dev (markers),\nin training (thin)")
        for panel in (scores, losses):
            panel.set_xlabel("Optimiser step")
            panel.set_title(f"{evidence.title(task)}, {rows[0].model_title}")
    style.legend(figure)
    return figure


def _curve(axes: Axes, runs: list[list[tuple[float, float]]], label: str | None, **look) -> None:
    """The mean over seeds at the steps that all seeds have, and the range from the lowest to the highest."""
    values = [dict(map(tuple, run)) for run in runs]
    steps = [step for step in values[0] if all(step in run for run in values)]
    if not steps:
        return
    axes.plot(steps, [mean(run[step] for run in values) for step in steps], label=label, **look)
    if len(values) > 1 and look["marker"]:
        lowest, highest = ([f(run[step] for run in values) for step in steps] for f in (min, max))
        axes.fill_between(steps, lowest, highest, color=look["color"], alpha=0.15, linewidth=0)


def _thinned(losses: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Means over neighbours, so that a curve has at most `CURVE_POINTS` points; each at its last step."""
    size = -(-len(losses) // CURVE_POINTS)
    groups = [losses[start : start + size] for start in range(0, len(losses), size or 1)]
    return [(group[-1][0], mean(loss for _, loss in group)) for group in groups]
