"""What the results of all items come to: rows of tables, and what to switch on."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from bench import options, replicas
from bench.gpu import advice
from bench.step.rows import EVALUATION, STEP
from bench.step.shapes import SHAPES
from bench.timing import ratios, spread
from dcft.paper import flops
from dcft.paper.counts import Shape

Result = dict[str, Any]


def collect(results: list[Result]) -> dict[str, Any]:
    """Reduce results to rows.

    Args:
        results: content of the items' files.

    Returns:
        Rows by part, `rates` of large matrix products (operations a second, by precision), `failures` of items, and
        `advice`.
    """
    by_part: dict[str, list[Result]] = {}
    for result in results:
        if result["report"] is not None:
            by_part.setdefault(result["part"], []).append(result)
    steps = [result for result in by_part.get("steps", []) if "rates" not in result["report"]]
    rates = next((r["report"]["rates"] for r in by_part.get("steps", []) if "rates" in r["report"]), {})
    rows = {
        "tests": [{"item": result["item"], **result["report"]} for result in by_part.get("tests", [])],
        "options": [_options(result["report"]) for result in by_part.get("options", [])],
        "rates": rates,
        "steps": [row for result in steps for row in _steps(result["report"], rates)],
        "sweep": [_sweep(result["report"]) for result in by_part.get("sweep", [])],
        "replicas": [_replicas(result["report"]) for result in by_part.get("replicas", [])],
        "failures": list(_failures(results)),
    }
    return rows | {"advice": advice.give(rows)}


def _failures(results: list[Result]) -> Iterable[dict[str, str]]:
    for result in results:
        if result["failure"] is not None:
            yield {"item": result["item"], "failure": result["failure"]}
        elif not result["complete"]:
            yield {"item": result["item"], "failure": "not all rows fit into memory; some were measured"}


def _where(settings: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: settings[name] for name in ("model", "batch", "length", *names)}


def _options(report: Result) -> dict[str, Any]:
    """The rows of one backbone and batch, and the effect of each option: with it / without it, all else equal."""
    settings, ms = report["settings"], report["ms"]
    tokens = settings["batch"] * settings["length"]
    rows = [
        {
            "name": name,
            "ms": spread(times)[0],
            "ratio": spread(ratios(times, ms[options.DEFAULT]))[0],
            "tokens_per_s": 1e3 * tokens / spread(times)[0],
            "peak_mb": sum(report["memory"][name].values()) / 1e6,
        }
        for name, times in ms.items()
    ]
    return _where(settings) | {"rows": rows, "effects": list(_effects(ms)), "skipped": report["skipped"]}


def _effects(ms: dict[str, list[float]]) -> Iterable[dict[str, Any]]:
    names = {frozenset(options.OPTIONS[name]): name for name in ms}
    for switched_on, name in names.items():
        for option in sorted(switched_on):
            without = names.get(switched_on - {option})
            if without is not None:
                yield {"option": option, "besides": without, "ratio": spread(ratios(ms[name], ms[without]))[0]}


def _steps(report: Result, rates: dict[str, float]) -> Iterable[dict[str, Any]]:
    """A training step or an evaluation of each method: ratio to the floor, and MFU where the peak rate is known."""
    settings = report["settings"]
    shape, rate = _shape(settings), rates.get(settings["precision"])
    for part in report["parts"]:
        if part["name"] in ("layer", "budget"):
            continue
        floor = next(row for row in part["rows"] if row["name"] == part["floor"])["ms"]
        for row in part["rows"]:
            time, (ratio, lower, upper) = spread(row["ms"])[0], spread(ratios(row["ms"], floor))
            known = shape is not None and rate is not None
            done = _operations(shape, settings, row["name"]) / (rate * time / 1e3) if known else None
            yield _where(settings, "precision") | {
                "part": part["name"],
                "title": (STEP | EVALUATION)[row["name"]].title,
                **{"ms": time, "ratio": ratio, "lower": lower, "upper": upper, "mfu": done},
                "tokens_per_s": 1e3 * settings["batch"] * settings["length"] / time,
                "peak_mb": sum(row["memory"].values()) / 1e6 if "memory" in row else None,
            }


def _shape(settings: dict[str, Any]) -> Shape | None:
    """The backbone's shape with the layers that were measured; None for a tiny one."""
    shape = SHAPES.get(settings["model"])
    return shape and replace(shape, layers=settings["layers"])


def _operations(shape: Shape, settings: dict[str, Any], row: str) -> int:
    size = (shape, settings["batch"], settings["length"])
    return flops.forward(*size) if row in EVALUATION else flops.step(*size, backbone_trains=row == "full")


def _sweep(report: Result) -> dict[str, Any]:
    [sweep] = report["sweeps"]
    per_hour = 3600 * report["settings"]["cells"] / sweep["wall_s"]
    kept = {name: sweep[name] for name in ("at_once", "samples_per_s", "peak_memory_mb")}
    return kept | {"model": report["settings"]["model"], "cells_per_hour": per_hour}


def _replicas(report: Result) -> dict[str, Any]:
    s = report["settings"]
    rows = [
        {
            **{"replicas": n, "ratio": ratio, "lower": lower, "upper": upper, "ms": spread(report["ms"][str(n)])[0]},
            "peak_mb": sum(report["memory"][str(n)].values()) / 1e6,
        }
        for n, (ratio, lower, upper) in replicas.gains(report).items()
    ]
    return _where(s, "precision") | {"alone_ms": spread(report["ms"][replicas.ALONE])[0], "rows": rows}
