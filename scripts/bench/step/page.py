"""The tables of a step measurement, computed from its JSON."""

from typing import Any

from bench.output import plural, table
from bench.step.rows import PARTS
from bench.timing import ratios, spread


def page(report: dict[str, Any], against: str | None = None) -> list[str]:
    """A table for each part; the layers of all sizes share one.

    Args:
        report: content of the JSON file.
        against: name of the row that ratios are to, in parts that have it; None: the floor.
    """
    s = report["settings"]
    layers = "all" if s["layers"] == s["of_layers"] else f"{s['layers']} of"
    lines = [
        f"Shapes of {s['model']} ({layers} {s['of_layers']} layers, random weights), batch {s['batch']} x "
        f"{s['length']}, {s['precision']}, {s['attention']} attention, {s['dropout']} dropout"
        f"{', torch.compile' if s['compile'] else ''}. "
        f"Times: median of {plural(s['rounds'], 'interleaved round')}."
    ]
    for name, title in PARTS.items():
        parts = [_against(part, against) for part in report["parts"] if part["name"] == name]
        if parts:
            lines += ["", f"**{title}**", "", *_TABLES[name](report, parts)]
    return lines


def _against(part: dict[str, Any], name: str | None) -> dict[str, Any]:
    return part | {"floor": name} if any(row["name"] == name for row in part["rows"]) else part


def _floor(part: dict[str, Any]) -> dict[str, Any]:
    return next(row for row in part["rows"] if row["name"] == part["floor"])


def _rows(report: dict[str, Any], parts: list[dict[str, Any]]) -> list[str]:
    """The table of a training step or of an evaluation."""
    [part] = parts
    training, floor = part["name"] == "step", _floor(part)
    reference = next(iter(part["products"]))  # the frozen backbone
    tokens = report["settings"]["batch"] * report["settings"]["length"]
    lines = []
    for row in part["rows"]:
        time, (ratio, lower, upper) = spread(row["ms"])[0], spread(ratios(row["ms"], floor["ms"]))
        products = part["products"].get(row["name"], part["products"][reference])
        share = spread(ratios(products["ms"], row["ms"]))[0]
        line = [row["title"], f"{time:,.1f}", f"{ratio:.2f}", f"{lower:.2f}-{upper:.2f}"]
        line += [f"{share:.2f}", f"{1e3 * tokens / time:,.0f}"]
        if training:
            line += [f"{sum(row['memory'].values()) / 1e6:,.0f}", f"{row['parameters']['adapter']:,}"]
        lines.append(line + [f"{spread(ms)[0]:,.1f}" for ms in row.get("latency", {}).values()])
    sizes = part["rows"][0].get("latency", {})  # results of earlier versions have none
    header = ["Row", "ms", "Ratio", "Quartiles", "Share", "Tokens/s", *(["Peak MB", "Trained"] if training else [])]
    header += [f"{plural(int(size), 'sequence')}, ms" for size in sizes]
    notes = [f"- Ratio: to “{floor['title']}” of the same round, median and quartiles over the rounds.", *_share(part)]
    if training:
        head = part["rows"][0]["parameters"]["head"]
        notes += [
            f"- Trained: parameters without the head, which has {head:,} and trains in every row.",
            "- Peak MB (10^6 bytes): weights, the optimiser's state, and the most that a step allocates above them.",
        ]
    return [*table(header, lines), "", *notes]


def _share(part: dict[str, Any]) -> list[str]:
    """What the column of shares means, with the machine's rate at these products."""
    own = "; full fine-tuning has more" if len(part["products"]) > 1 else ""
    [products, *_] = part["products"].values()
    time = spread(products["ms"])[0]
    return [
        f"- Share: time of the frozen backbone's matrix products alone, as a part of the row's{own}. These are "
        f"{products['gflop']:,.1f} GFLOP in {time:,.1f} ms: {1e3 * products['gflop'] / time:,.0f} GFLOP/s."
    ]


def _layers(_: dict[str, Any], parts: list[dict[str, Any]]) -> list[str]:
    """The table of single layers, two columns for each size."""
    header, lines = ["Adapter"], {row["title"]: [row["title"]] for row in parts[0]["rows"]}
    for part in parts:
        size = "{} → {}".format(*part["size"])
        header += [f"{size}: ms", f"{size}: Ratio"]
        for row in part["rows"]:
            ratio = spread(ratios(row["ms"], _floor(part)["ms"]))[0]
            lines[row["title"]] += [f"{spread(row['ms'])[0]:,.1f}", f"{ratio:.2f}"]
    note = f"- Ratio: to “{_floor(parts[0])['title']}” of the same round, median over the rounds."
    return [*table(header, list(lines.values())), "", note]


def _budgets(_: dict[str, Any], parts: list[dict[str, Any]]) -> list[str]:
    """The profiles of some rows, side by side."""
    [part] = parts
    header = ["Line", *(row["title"] for row in part["rows"])]
    budgets = [row["budget"] for row in part["rows"]]
    lines = [[line, *(f"{b[line]:,.1f}" for b in budgets)] for line in budgets[0]]
    lines.append(["sum", *(f"{sum(b.values()):,.1f}" for b in budgets)])
    return [*table(header, lines), "", "- Profiled steps take longer than those that are timed above."]


_TABLES = {"step": _rows, "evaluation": _rows, "layer": _layers, "budget": _budgets}
