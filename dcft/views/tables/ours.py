"""Tables 1 to 6 from records: our numbers, or ours beside the paper's."""

from dcft.paper.printed import title
from dcft.results import sweeps
from dcft.results.outcomes import Outcomes
from dcft.views.tables import notes, published, values
from dcft.views.tables.grid import Column, Grid, Group, Line, Part, Row, Value, decimal, mark, plain
from dcft.views.time_units import HOURS, TimeUnit

QUANTITIES = {"score": "Acc", "time": "Time"}  # the paper's words in Tables 4 and 5
PRINTED_UNIT = HOURS  # of times in the paper


def ours(outcomes: Outcomes, baseline: dict[str, int]) -> Grid:
    """Our numbers alone.

    Args:
        outcomes: a sweep with its records.
        baseline: the row, by backbone, whose distance from the others is to be shown.
    """
    return _grid(outcomes, baseline, "ours", {})


def compare(outcomes: Outcomes, baseline: dict[str, int]) -> Grid:
    """Our numbers, the published ones and the difference, line by line; rows that the paper has not are ours alone."""
    sweep = outcomes.sweep
    if not any(row.paper for row in sweep.rows):
        return ours(outcomes, baseline)
    paper = published.counterparts(sweep.table)
    if {column.task for column in sweep.columns} != {key for *_, key in paper} - {"params", "average"}:
        paper = {place: value for place, value in paper.items() if place[-1] != "average"}  # a mean over other tasks
    return _grid(outcomes, baseline, "compare", paper)


def _grid(outcomes: Outcomes, baseline: dict[str, int], view: str, paper: dict[tuple, Value]) -> Grid:
    sweep = outcomes.sweep
    keys = [column.task for column in sweep.columns] + (["average"] if sweep.average else [])
    groups = []
    for block, rows in outcomes.blocks().items():
        groups.append(Group(block, []))
        for index, row in rows:
            lines = _lines(outcomes, index, row, keys, paper, baseline.get(block))
            groups[-1].rows.append(Row(row.title, lines, row.method, row.model))
    stubs = ["Model", "Method"] + (["Metric"] if sweep.times else [])
    stubs += ["Source"] if any(line.source != "ours" for group in groups for _, line in group.lines) else []
    for group in groups:
        _name(group, stubs)
    columns = [Column(stub.lower(), [stub], stub=True) for stub in stubs] + [Column("params", ["#Params"])]
    titles = {column.task: column.title for column in sweep.columns} | {"average": "Avg."}
    columns += [Column(key, [titles[key]]) for key in keys]
    mark(groups, columns, "ours")  # the printed figures bring the marks that they have in their own table
    about = notes.collect(outcomes)
    lines = about.lines + notes.figures(outcomes)
    lines += notes.comparison(outcomes, any(key == "average" for *_, key in paper)) if paper else []
    lines += notes.distance(outcomes, baseline)
    caption = about.caption(sweep.caption + (f": ours and {title(sweep.table)} of the paper" if paper else ""))
    return Grid(sweep.name, view, caption, columns, groups, lines, outcomes.protocol)


def _name(group: Group, stubs: list[str]) -> None:
    """Put the names of model, method, metric and source before the figures, each where it begins."""
    for row in group.rows:
        metric = ""
        for line in row.lines:
            first = line is row.lines[0]
            names = {
                "Model": group.title if first and row is group.rows[0] else "",
                "Method": row.title if first else "",
                "Metric": QUANTITIES[line.quantity] if line.quantity != metric else "",
                "Source": f"{line.source} ({line.model})" if line.model else line.source,
            }
            line.values = [plain(names[stub]) for stub in stubs] + line.values
            metric = line.quantity


def _lines(
    outcomes: Outcomes, index: int, row: sweeps.Row, keys: list[str], paper: dict[tuple, Value], baseline: int | None
) -> list[Line]:
    """The lines of a row: a size, then a value for each key."""
    lines = []
    unit = values.time_unit(outcomes)
    for quantity in QUANTITIES if outcomes.sweep.times else ["score"]:
        if quantity == "time":
            mine = [values.time(outcomes, index, key, unit) for key in keys]
        else:
            mine = [values.score(outcomes, index, column) for column in outcomes.sweep.columns]
            mine += [values.average(outcomes, index)] if "average" in keys else []
        size = values.size(outcomes, index) if quantity == "score" else Value()
        lines.append(Line([size, *mine], "ours", quantity))
        place = (row.paper["label"], row.paper["model"], quantity) if paper and row.paper else ()
        theirs = [paper.get((*place, key), Value()) for key in keys]
        if any(value.parts for value in theirs):
            gaps = [
                difference(ours, value, unit if quantity == "time" else None)
                for ours, value in zip(mine, theirs, strict=True)
            ]
            other = row.paper["model"] if row.substitute else ""
            size = paper.get((*place, "params"), Value())
            lines.append(Line([size, *theirs], "published", quantity, model=other))
            lines.append(Line([Value(), *gaps], "difference", quantity, model=other and f"{row.model} − {other}"))
    if baseline is not None and baseline != index:
        name = f"− {outcomes.sweep.rows[baseline].title}"
        lines.append(Line([Value(), *(_distance(outcomes, index, baseline, key) for key in keys)], name))
    return lines


def difference(ours: Value, published: Value, unit: TimeUnit | None = None) -> Value:
    """Ours minus the published figure, part by part; a pair beside a single figure is compared by its mean.

    Args:
        ours: our cell.
        published: the paper's.
        unit: of our times; the difference is in the paper's. None: the figures are scores.
    """
    scale = unit.seconds / PRINTED_UNIT.seconds if unit else 1
    left = [part.number * scale for part in ours.parts]
    right = [part.number for part in published.parts]
    if not left or not right:
        return Value()
    names = [part.name for part in ours.parts]
    if len(left) != len(right):
        left, right, names = [sum(left) / len(left)], [sum(right) / len(right)], ["mean"]
    parts = []
    for a, b, name in zip(left, right, names, strict=True):
        parts.append(Part(decimal(a - b, "+") + (PRINTED_UNIT.symbol if unit else ""), a - b, name=name))
    return Value(parts, published.separator, ours.n, ours.records)


def _distance(outcomes: Outcomes, index: int, baseline: int, task: str) -> Value:
    """How far a row's score is from the baseline's, the mean over seeds."""
    pair = [outcomes.series(row, task) for row in (index, baseline)]
    if any(score is None for scores in pair for score in scores):
        return Value()
    mean = sum(a - b for a, b in zip(*pair, strict=True)) / len(pair[0])
    paths = outcomes.record_paths(index, task) + outcomes.record_paths(baseline, task)
    return Value([Part(decimal(mean, "+"), mean, name="score")], n=len(pair[0]), records=paths)
