"""The cost view: what training and keeping each row costs, from parameters to seconds."""

from dcft.results.costs import COSTS, Cost
from dcft.results.outcomes import Outcomes
from dcft.views.tables import notes
from dcft.views.tables.grid import Column, Grid, Group, Line, Part, Row, Value, plain

TITLES = {  # two lines of a heading
    "params": ["#Params"],
    "trainable": ["with head"],
    "bytes": ["On disk"],
    "flops": ["FLOPs", "step"],
    "prediction": ["FLOPs", "prediction"],
    "memory": ["Peak memory", "used"],
    "reserved": ["Peak memory", "reserved"],
    "seconds": ["Time", "step"],
}
PREFIXES = ("n", "µ", "m", "", "k", "M", "G", "T", "P", "E")  # of units, from 10^-9 on
NOTES = [
    "Each figure is the mean over seeds. Tasks that differ are a range, from the lowest to the highest.",
    "#Params: trained parameters without the task's head.",
    "On disk: the kept weights, adapter and head in float32; the whole model where a method has no adapter file.",
    "FLOPs: of matrix products, a multiplication and an addition counted as two. Step: forward and backward of a batch "
    "of typical length. Prediction: forward of one row, with adapters merged that can be.",
    "Peak memory: of the GPU's allocator, or of the whole process without a GPU.",
    "Time: training without evaluations over steps, on whatever machine ran the cell.",
]


def view(outcomes: Outcomes) -> Grid:
    """One line a row, a column a kind of cost; blank without all of the row's records, or where an old one lacks it."""
    kinds = [kind for kind in COSTS if kind != "reserved" or any(map(COSTS[kind].of, outcomes.done))]
    columns = [Column("model", ["Model"], stub=True), Column("method", ["Method"], stub=True)]
    columns += [Column(kind, TITLES[kind]) for kind in kinds]
    groups = []
    for block, rows in outcomes.blocks().items():
        groups.append(Group(block, []))
        for index, row in rows:
            stubs = [plain(block if not groups[-1].rows else ""), plain(row.title)]
            values = [_value(outcomes, index, COSTS[kind]) for kind in kinds]
            line = Line([*stubs, *values], "ours", "cost", task="all")
            groups[-1].rows.append(Row(row.title, [line], row.method, row.model))
    about = notes.collect(outcomes)
    caption = about.caption(f"{outcomes.sweep.caption}: costs")
    return Grid(outcomes.sweep.name, "cost", caption, columns, groups, about.lines + NOTES, outcomes.protocol)


def _value(outcomes: Outcomes, row: int, cost: Cost) -> Value:
    means, paths = [], []
    for column in outcomes.sweep.columns:
        mean = outcomes.cost(row, column.task, cost)
        if mean is None:
            return Value()
        means.append(mean)
        paths += outcomes.record_paths(row, column.task)
    ends = {"low": min(means), "high": max(means)}
    parts = [Part(amount(number, cost.symbol), number, name=name) for name, number in ends.items()]
    if parts[0].text == parts[1].text:
        parts = [Part(parts[0].text, sum(means) / len(means), name="mean")]
    return Value(parts, " to ", len(outcomes.sweep.seeds), paths)


def amount(number: float, symbol: str) -> str:
    """A number with its unit: 7,488 without one, else three digits and a prefix, 102 kB."""
    if not symbol:
        return f"{number:,.0f}"
    exponent = 0
    while number and float(f"{number:.3g}") >= 1000 and exponent < 6:
        number, exponent = number / 1000, exponent + 1
    while number and float(f"{number:.3g}") < 1 and exponent > -3:
        number, exponent = number * 1000, exponent - 1
    return f"{number:.3g} {PREFIXES[exponent + 3]}{symbol}"
