"""The statistics view: what the seeds of a sweep say about each row and task, and about the distance to a baseline."""

from dcft.results import statistics
from dcft.results.outcomes import Outcomes
from dcft.views.tables import notes
from dcft.views.tables.grid import Column, Grid, Group, Line, Part, Row, Value, decimal, plain


def view(outcomes: Outcomes, baseline: dict[str, int]) -> Grid:
    """One line a row and task.

    Args:
        outcomes: a sweep with its records.
        baseline: the row that others are compared with, by backbone.
    """
    sweep = outcomes.sweep
    titles = {column.task: column.title for column in sweep.columns} | ({"average": "Avg."} if sweep.average else {})
    columns = [Column("model", ["Model"], stub=True), Column("method", ["Method"], stub=True)]
    columns += [Column("task", ["Task"], stub=True), Column("n", ["n"])]
    columns += [Column("mean", ["Mean"]), Column("std", ["Std"]), Column("interval", ["95 % interval"])]
    if baseline:
        top = "Minus the baseline"
        columns += [Column("difference", [top, "Mean"]), Column("difference_interval", [top, "95 % interval"])]
        columns.append(Column("p", [top, "p"]))
    groups = []
    for block, rows in outcomes.blocks().items():
        groups.append(Group(block, []))
        for index, row in rows:
            lines = []
            for task, title in titles.items():
                first = not lines
                stubs = [block if first and not groups[-1].rows else "", row.title if first else "", title]
                values = [plain(stub) for stub in stubs] + _alone(outcomes, index, task)
                values += _against(outcomes, index, baseline.get(block), task) if baseline else []
                lines.append(Line(values, "ours", "score", task))
            groups[-1].rows.append(Row(row.title, lines, row.method, row.model))
    about = notes.collect(outcomes)
    return Grid(
        sweep.name,
        "statistics",
        about.caption(f"{sweep.caption}: statistics over seeds"),
        columns,
        groups,
        about.lines + notes.seeds(outcomes, baseline),
        outcomes.protocol,
    )


def _alone(outcomes: Outcomes, row: int, task: str) -> list[Value]:
    """n, mean, standard deviation, interval."""
    series = outcomes.series(row, task)
    paths = outcomes.record_paths(row, task)
    n = sum(score is not None for score in series)
    values = [plain(str(n), n)]
    if summary := statistics.summary(series):
        mean, std = summary.mean, summary.std
        spread = [] if std is None else [Part(f"{std:.2f}", std)]
        values += [
            Value([Part(decimal(mean), mean, std, "score")]),
            Value(spread),
            _interval(statistics.interval(series)),
        ]
    else:
        values += [Value(), Value(), Value()]
    for value in values:
        value.n, value.records = n, paths
    return values


def _against(outcomes: Outcomes, row: int, baseline: int | None, task: str) -> list[Value]:
    """Mean difference, interval, p; blank for the baseline itself and where a seed is missing."""
    blank = [Value(), Value(), Value()]
    if baseline is None or row == baseline:
        return blank
    ours, theirs = outcomes.series(row, task), outcomes.series(baseline, task)
    if any(score is None for score in (*ours, *theirs)):
        return blank
    pair = statistics.paired(ours, theirs)
    p = [] if pair.p is None else [Part(f"{pair.p:.3f}" if pair.p >= 0.001 else f"{pair.p:.0e}", pair.p)]
    values = [Value([Part(decimal(pair.mean, "+"), pair.mean, name="score")]), _interval(pair.interval, "+"), Value(p)]
    for value in values:
        value.n, value.records = len(ours), outcomes.record_paths(row, task) + outcomes.record_paths(baseline, task)
    return values


def _interval(bounds: tuple[float, float] | None, sign: str = "") -> Value:
    if bounds is None:
        return Value()
    low, high = bounds
    return Value([Part(decimal(low, sign), low, name="low"), Part(decimal(high, sign), high, name="high")], " to ")
