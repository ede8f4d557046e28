"""Figures of what DCFT's settings cost and give, ours beside the paper's: kernel size, stride, parameters."""

from itertools import pairwise
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullFormatter

from dcft.results.costs import COSTS, Cost
from dcft.results.sweeps import Row
from dcft.views.figures import style
from dcft.views.figures.evidence import Evidence, Mean, OurNumbers, PaperNumbers, model_title
from dcft.views.time_units import unit_for

LOG_FROM = 20  # times and costs that differ by more than this factor are drawn on a log axis


def kernel(evidence: Evidence) -> Figure | None:
    """Score and training time against the kernel size, of rows that differ in nothing else (Table 4)."""
    rows = [row for row in _dcft(evidence) if row.knobs["kernel"] == row.knobs["stride"]]
    return _curves(evidence, rows, "kernel", "Kernel size d = stride s", ["targets"])


def stride(evidence: Evidence) -> Figure | None:
    """Score and training time against the stride, of rows that differ in nothing else (Table 5)."""
    return _curves(evidence, _dcft(evidence), "stride", "Stride s", ["targets", "kernel"])


def _dcft(evidence: Evidence) -> list[Row]:
    return [row for row in evidence.sweep.rows if row.method == "dcft"]


class Series(NamedTuple):
    """A curve: rows that differ in one setting, from one source."""

    source: OurNumbers | PaperNumbers
    name: str
    rows: list[Row]
    look: dict[str, Any]

    def points(self, knob: str, tasks: list[str], quantity: str) -> list[tuple[int, Mean]]:
        """Setting and mean, of the rows that have one."""
        means = {row.knobs[knob]: self.source.mean(row, tasks, quantity) for row in self.rows}
        return [(x, means[x]) for x in sorted(means) if means[x]]


def _curves(evidence: Evidence, rows: list[Row], knob: str, label: str, fixed: list[str]) -> Figure | None:
    """Two panels with a curve for every group of rows that share the settings `fixed`, and the paper's beside it."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault((row.model, *(row.knobs[name] for name in fixed)), []).append(row)
    # Rows with the same setting differ in something else, which no curve over this setting could show.
    groups = {key: group for key, group in groups.items() if len({row.knobs[knob] for row in group}) == len(group) > 1}
    series = []
    for number, ((model, *values), group) in enumerate(groups.items()):
        several = sum(key[0] == model for key in groups) > 1
        which = "".join(f", {name}={value}" for name, value in zip(fixed, values, strict=True)) if several else ""
        series.append(Series(evidence.own, f"ours: {group[0].model_title}{which}", group, style.look(number)))
        for printed in evidence.printed.models(group):
            same = [row for row in group if row.paper and row.paper["model"] == printed]
            name = f"paper: {model_title(printed)}{which}"
            series.append(Series(evidence.printed, name, same, style.printed_look(number)))
    tasks = evidence.tasks
    ours = [curve for curve in series if curve.source is evidence.own and curve.points(knob, tasks, "score")]
    if not groups or not (ours or evidence.only_printed):
        return None
    settings = sorted({row.knobs[knob] for group in groups.values() for row in group})
    figure, [[scores, times]] = style.new(1, 2)
    for axes, quantity in ((scores, "score"), (times, "time")):
        drawn = [(curve, points) for curve in series if (points := curve.points(knob, tasks, quantity))]
        _panel(axes, quantity, drawn)
        axes.set_xscale("log", base=2)
        axes.set_xticks(settings, map(str, settings))
        axes.set_xlim(settings[0] / 1.15, settings[-1] * 1.15)
        axes.set_xlabel(label)
    style.legend(figure)
    return figure


def _panel(axes: Axes, quantity: str, drawn: list[tuple[Series, list[tuple[int, Mean]]]]) -> None:
    values = [mean.value for _, points in drawn for _, mean in points]
    unit = unit_for(max(values, default=0))
    size = unit.seconds if quantity == "time" else 1
    for series, points in drawn:
        spreads = [(mean.spread or 0) / size for _, mean in points]
        axes.errorbar(
            [x for x, _ in points],
            [mean.value / size for _, mean in points],
            spreads if any(spreads) else None,
            label=series.name,
            capsize=2,
            **series.look,
        )
    axes.set_ylabel("Mean score (%)" if quantity == "score" else f"Mean training time ({unit.name})")
    if quantity == "time" and values and max(values) > LOG_FROM * min(values) > 0:
        axes.set_yscale("log")


def pareto(evidence: Evidence) -> Figure | None:
    """Mean score against trained parameters or another cost, a panel a backbone, each row named, with the front of what
    no other row beats in both."""
    rows = evidence.sweep.rows
    tasks = evidence.tasks
    panels: dict[str, dict[str, list[tuple[float, float, str]]]] = {}  # by backbone, then by source
    for source, kind in ((evidence.own, "ours"), (evidence.printed, "paper")):
        for row in rows:
            score, size = source.mean(row, tasks, "score"), source.cost(row, tasks, evidence.cost)
            if score and size:
                model = row.model if kind == "ours" else row.paper["model"]
                panels.setdefault(model, {}).setdefault(kind, []).append((size, score.value, row.title))
    if not panels or not (evidence.only_printed or any("ours" in kinds for kinds in panels.values())):
        return None
    titles = {row.model: row.model_title for row in rows}
    across = min(2, len(panels))
    figure, axes = style.new(-(-len(panels) // across), across, height=4.2, width=5.2)
    flat = [panel for line in axes for panel in line]
    for panel, (model, kinds) in zip(flat, panels.items(), strict=False):
        for kind, points in kinds.items():
            _scatter(panel, points, kind)
        _cost_axis(panel, COSTS[evidence.cost])
        panel.set_title(titles.get(model) or model_title(model))
        panel.set_ylabel("Mean score (%)")
        panel.margins(x=0.2, y=0.15)
    for panel in flat[len(panels) :]:
        panel.remove()
    style.legend(figure, columns=2)
    return figure


def _cost_axis(axes: Axes, cost: Cost) -> None:
    low, high = axes.get_xaxis().get_data_interval()
    if not cost.symbol or high > LOG_FROM * low:
        axes.set_xscale("log")
    else:
        axes.locator_params(axis="x", nbins=4)  # labels with units are wide
    if cost.symbol:
        axes.xaxis.set_major_formatter(EngFormatter(cost.symbol))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(cost.title)


def _scatter(axes: Axes, points: list[tuple[float, float, str]], kind: str) -> None:
    look = style.look(0) if kind == "ours" else style.printed_look(0)
    xs, ys, _ = zip(*points, strict=True)
    axes.plot(xs, ys, label=f"{kind}: a row of the table", **look | {"linestyle": ""})
    best = front(points)
    named: dict[tuple[float, float], list[str]] = {}  # rows with equal figures share a point
    for x, y, name in points:
        named.setdefault((x, y), []).append(name)
    for (x, y), names in named.items():
        style.label(axes, x, y, ", ".join(names), style="normal" if kind == "ours" else "italic")
    if len(best) > 1:
        corners = [(after[0], before[1]) for before, after in pairwise(best)]
        steps = [best[0], *(point for pair in zip(corners, best[1:], strict=True) for point in pair)]
        axes.plot(*zip(*steps, strict=True), label=f"{kind}: Pareto front", **look | {"marker": ""})


def front(points: list[tuple[float, float, str]]) -> list[tuple[float, float]]:
    """The points that no other beats: none costs as little and scores higher, or costs less and scores as high."""
    best: list[tuple[float, float]] = []
    for size, score, _ in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or score > best[-1][1]:
            best.append((size, score))
    return best
