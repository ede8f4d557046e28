"""The table of everything that was measured on a GPU."""

from typing import Any

from bench.gpu.plan import PARTS
from bench.output import plural, table


def brief(report: dict[str, Any]) -> list[str]:
    """What to switch on, and what has no result."""
    return page(report | {part: [] for part in PARTS})


def page(report: dict[str, Any]) -> list[str]:
    """The rows of all parts as Markdown; parts without a result are left out."""
    s = report["settings"]
    trial = " This is a trial on a CPU, with a tiny backbone." if s["device"] == "cpu" else ""
    lines = [f"{s['done']} of {plural(s['of'], 'item')} of `make gpu` have a result.{trial}"]
    titles = {"advice": "What to switch on", **PARTS, "failures": "What has no result"}
    for part, title in titles.items():
        if report[part]:
            lines += ["", f"**{title[0].upper()}{title[1:]}**", "", *_SECTIONS[part](report)]
    return lines


def _advice(report: dict[str, Any]) -> list[str]:
    rows = [
        [f"`{a['setting']}`" if "=" in a["setting"] else a["setting"], a["where"], a["verdict"], a["basis"]]
        + [f"{a['ratio']:.2f}"]
        for a in report["advice"]
    ]
    note = "- Ratio: time for the same work, with the setting / without it; from 0.95 on it is not worth it."
    return [*table(["Setting", "Where", "Verdict", "Basis", "Ratio"], rows, text=4), "", note]


def _tests(report: dict[str, Any]) -> list[str]:
    rows = [[t["item"], t["passed"], len(t["failed"]), len(t["skipped"])] for t in report["tests"]]
    lines = table(["Tests", "Passed", "Failed", "Skipped"], rows)
    failed = [f"- Failed: `{name}`" for test in report["tests"] for name in test["failed"]]
    reasons = sorted({reason for test in report["tests"] for reason in test["skipped"].values()})
    notes = failed + [f"- Skipped: {reason}" for reason in reasons]
    return [*lines, "", *notes] if notes else lines


def _options(report: dict[str, Any]) -> list[str]:
    rows = [
        [item["model"], f"{item['batch']} x {item['length']}", row["name"]]
        + [f"{row['ms']:,.1f}", f"{row['ratio']:.2f}", f"{row['tokens_per_s']:,.0f}", f"{row['peak_mb']:,.0f}"]
        for item in report["options"]
        for row in item["rows"]
    ]
    header = ["Backbone", "Batch", "Switched on", "ms", "Ratio", "Tokens/s", "Peak MB"]
    return [*table(header, rows, text=3), "", "- Ratio: to the default (lean attention, not compiled, fp32)."]


def _steps(report: dict[str, Any]) -> list[str]:
    rows = [
        [row["model"], f"{row['batch']} x {row['length']}", row["precision"], row["title"]]
        + [f"{row['ms']:,.1f}", f"{row['ratio']:.2f}", f"{row['lower']:.2f}-{row['upper']:.2f}"]
        + [f"{row['tokens_per_s']:,.0f}", None if row["mfu"] is None else f"{100 * row['mfu']:.0f} %"]
        + [None if row["peak_mb"] is None else f"{row['peak_mb']:,.0f}"]
        for row in report["steps"]
    ]
    header = ["Backbone", "Batch", "Precision", "Row", "ms", "Ratio", "Quartiles", "Tokens/s", "MFU", "Peak MB"]
    rates = ", ".join(f"{name} {rate / 1e12:.1f} TFLOP/s" for name, rate in report["rates"].items())
    return [
        *table(header, rows, text=4),
        "",
        "- Ratio: to the frozen backbone, or in evaluations to the bare one, in the same round.",
        f"- MFU: operations of the backbone by formula, against a large matrix product ({rates or 'not measured'}).",
    ]


def _sweep(report: dict[str, Any]) -> list[str]:
    rows = [
        [s["at_once"], f"{s['cells_per_hour']:,.0f}", f"{s['samples_per_s']:,.0f}", f"{s['peak_memory_mb']:,.0f}"]
        for s in report["sweep"]
    ]
    return table(["Cells at once", "Cells/hour", "Rows/s", "Peak MB of a cell"], rows, text=0)


def _replicas(report: dict[str, Any]) -> list[str]:
    rows = [
        [item["model"], f"{item['batch']} x {item['length']}", item["precision"], row["replicas"]]
        + [f"{row['ms']:,.1f}", f"{row['replicas'] * item['alone_ms']:,.1f}", f"{row['ratio']:.2f}"]
        + [f"{row['lower']:.2f}-{row['upper']:.2f}", f"{row['peak_mb']:,.0f}"]
        for item in report["replicas"]
        for row in item["rows"]
    ]
    header = ["Backbone", "Batch", "Precision", "Seeds", "ms at once", "ms one by one", "Ratio", "Quartiles", "Peak MB"]
    return table(header, rows, text=3)


def _failures(report: dict[str, Any]) -> list[str]:
    return [f"- {failure['item']}: {failure['failure']}" for failure in report["failures"]]


_SECTIONS = {
    **{"advice": _advice, "tests": _tests, "options": _options, "steps": _steps, "sweep": _sweep},
    **{"replicas": _replicas, "failures": _failures},
}
