"""The tables of a result of `scripts/bench step`: everything in them is computed from its JSON."""

from typing import Any

from bench.statistics import ratios, spread
from dcft.views.tables import show as show_grid
from dcft.views.tables.grid import Column, Grid, Group, Line, Row, Value, decimal, plain
from dcft.views.tables.markdown import markdown as markdown_grid

WHAT = {
    "step": "One training step (forward, backward, optimiser)",
    "evaluation": "One forward pass of evaluation",
    "layer": "One linear layer, forward and backward",
}


def grids(result: dict[str, Any], against: str | None = None) -> list[Grid]:
    """A table for each part that was measured; the layers of all sizes are one.

    Args:
        result: what `scripts/bench step` wrote.
        against: the row that ratios are to, where there is one of that name; None: the floor.
    """
    found = []
    for name in WHAT:
        parts = [_against(part, against) for part in result["parts"] if part["name"] == name]
        if parts:
            found.append(_layers(result, parts) if name == "layer" else _rows(result, parts[0]))
    return found


def _against(part: dict[str, Any], row: str | None) -> dict[str, Any]:
    return part | {"floor": row} if any(line["name"] == row for line in part["rows"]) else part


def _rows(result: dict[str, Any], part: dict[str, Any]) -> Grid:
    ms = {row["name"]: row["ms"] for row in part["rows"]}
    tokens = result["settings"]["batch"] * result["settings"]["length"]
    titles = {"ms": "ms", "ratio": "Ratio", "quartiles": "Quartiles", "tokens": "Tokens/s"}
    columns = [Column("row", ["Row"], stub=True), *(Column(key, [title]) for key, title in titles.items())]
    training = part["name"] == "step"
    if training:
        columns += [Column("memory", ["Peak MB"]), Column("params", ["Trained"])]
    rows = []
    for row in part["rows"]:
        values = [plain(row["title"]), *_figures(row["ms"], ms[part["floor"]])]
        speed = 1e3 * tokens / spread(row["ms"])[0]
        values.append(plain(f"{speed:,.0f}", speed))
        if training:
            memory, trained = sum(row["memory"].values()) / 1e6, row["parameters"]["adapter"]
            values += [plain(f"{memory:,.0f}", memory), plain(f"{trained:,}", trained)]
        rows.append(Row(row["title"], [Line(values)]))
    notes = [f"Ratio: to “{_floor(part)}” of the same round, median and quartiles over the rounds."]
    if training:
        head = part["rows"][0]["parameters"]["head"]
        notes += [
            f"Trained: parameters besides the head's, of which each row trains {head:,}.",
            "Peak MB (10^6 bytes): weights, the optimiser's state, and the most that a step allocates above them.",
        ]
    return _grid(result, part["name"], columns, rows, notes)


def _layers(result: dict[str, Any], parts: list[dict[str, Any]]) -> Grid:
    columns = [Column("row", ["Adapter"], stub=True)]
    lines: dict[str, list[Value]] = {}
    for part in parts:
        size = "{} → {}".format(*part["size"])
        columns += [Column("ms", [size, "ms"]), Column("ratio", [size, "Ratio"])]
        ms = {row["name"]: row["ms"] for row in part["rows"]}
        for row in part["rows"]:
            values = lines.setdefault(row["title"], [plain(row["title"])])
            values += _figures(row["ms"], ms[part["floor"]])[:2]
    rows = [Row(title, [Line(values)]) for title, values in lines.items()]
    return _grid(
        result, "layer", columns, rows, [f"Ratio: to “{_floor(part)}” of the same round, median over the rounds."]
    )


def _floor(part: dict[str, Any]) -> str:
    return next(row["title"] for row in part["rows"] if row["name"] == part["floor"])


def _figures(ms: list[float], floor: list[float]) -> list[Value]:
    """Median milliseconds, median ratio, and the ratio's quartiles."""
    time, (ratio, lower, upper) = spread(ms)[0], spread(ratios(ms, floor))
    return [plain(f"{time:,.1f}", time), plain(decimal(ratio), ratio), plain(f"{decimal(lower)}-{decimal(upper)}")]


def _grid(result: dict[str, Any], view: str, columns: list[Column], rows: list[Row], notes: list[str]) -> Grid:
    s, machine, versions = result["settings"], result["hardware"], result["versions"]
    layers = "all" if s["layers"] == s["of_layers"] else f"{s['layers']} of"
    threads = f"{machine['threads']} thread{'s' if machine['threads'] > 1 else ''}"
    place = machine["gpu"] if s["device"] == "cuda" else f"{machine['cpu']}, {threads}"
    caption = (
        f"{WHAT[view]} in the shapes of {s['model']} ({layers} {s['of_layers']} layers, random weights), "
        f"batch {s['batch']} x {s['length']}, {s['precision']}, {s['attention']} attention"
        f"{', torch.compile' if s['compile'] else ''}; {place}; PyTorch {versions['torch']}; "
        f"median of {s['rounds']} interleaved rounds."
    )
    return Grid("bench", view, caption, columns, [Group("", rows)], notes)


def markdown(found: list[Grid]) -> str:
    """All tables, one after the other."""
    return "\n".join(map(markdown_grid, found))


def show(found: list[Grid]) -> None:
    """Print all tables."""
    for grid in found:
        show_grid(grid)
