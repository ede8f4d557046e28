"""What to switch on, each with the ratio that it follows from: time for the same work, with it / without it."""

from collections.abc import Iterable
from statistics import median
from typing import Any

from bench import options

GAIN = 0.95  # a ratio above it is not worth another setting
FEATURE = 0.8  # what replicas must save beyond cells at once, to be worth a feature
TESTS = {  # whose failure rules an option out
    options.FLASH: "tests-backbones-flash_attention",
    options.COMPILE: "tests-backbones-compilation",
    options.BF16: "tests-training-precision",
}
Advice = dict[str, Any]


def give(rows: dict[str, Any]) -> list[Advice]:
    """Advice for all that was measured.

    Args:
        rows: by part, as `bench.gpu.summary.collect` makes them.

    Returns:
        Of each: `setting`, `where`, `ratio`, `basis` of the ratio, `verdict`.
    """
    broken = {test["item"] for test in rows["tests"] if test["failed"]}
    sweep = list(_sweep(rows["sweep"]))
    return [
        *_options(rows["options"], broken),
        *_combinations(rows["options"], broken),
        *_batches(rows["options"]),
        *sweep,
        *(_replicas(rows["replicas"], sweep[0]) if sweep else []),
    ]


def _by_model(measured: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    models: dict[str, list[dict[str, Any]]] = {}
    for item in measured:
        models.setdefault(item["model"], []).append(item)
    return models


def _options(measured: list[dict[str, Any]], broken: set[str]) -> Iterable[Advice]:
    for model, items in _by_model(measured).items():
        for option, tests in TESTS.items():
            found = [e["ratio"] for item in items for e in item["effects"] if e["option"] == option]
            if found:
                basis = f"median of {len(found)} comparisons, {min(found):.2f} to {max(found):.2f}"
                verdict = "on" if median(found) <= GAIN else "off"
                verdict = "off: its tests fail" if tests in broken else verdict
                yield _advice(option, model, median(found), basis, verdict)


def _combinations(measured: list[dict[str, Any]], broken: set[str]) -> Iterable[Advice]:
    bad = {option for option, tests in TESTS.items() if tests in broken}
    for item in measured:
        good = [row for row in item["rows"] if not bad & {*options.OPTIONS[row["name"]]}]
        best = min(good, key=lambda row: row["ratio"])
        where = f"{item['model']}, {item['batch']} x {item['length']}"
        yield _advice(best["name"], where, best["ratio"], f"against the default, {len(good)} compared", "fastest")


def _batches(measured: list[dict[str, Any]]) -> Iterable[Advice]:
    for model, items in _by_model(measured).items():
        items = sorted(items, key=lambda item: item["batch"])
        for small, large in zip(items, items[1:], strict=False):
            rates = [
                next(row for row in item["rows"] if row["name"] == options.DEFAULT)["tokens_per_s"]
                for item in (small, large)
            ]
            ratio = rates[0] / rates[1]
            verdict = "pays" if ratio <= GAIN else f"{small['batch']} fills the device"
            basis = f"time of a token, against a batch of {small['batch']}"
            yield _advice(f"batch of {large['batch']}", f"{model}, {large['length']} tokens", ratio, basis, verdict)


def _sweep(measured: list[dict[str, Any]]) -> Iterable[Advice]:
    per_hour = {sweep["at_once"]: sweep["cells_per_hour"] for sweep in measured}
    if 1 in per_hour and len(per_hour) > 1:
        best = max((n for n in per_hour if n > 1), key=lambda n: per_hour[n])
        ratio = per_hour[1] / per_hour[best]
        basis = f"time of a cell, the best of {', '.join(map(str, sorted(per_hour)))} at once"
        yield _advice(f"hydra.launcher.n_jobs={best}", "cells", ratio, basis, "on" if ratio <= GAIN else "off")


def _replicas(measured: list[dict[str, Any]], cells: Advice) -> Iterable[Advice]:
    for item in measured:
        best = min(item["rows"], key=lambda row: row["ratio"])
        worth = best["ratio"] <= FEATURE * min(cells["ratio"], 1.0)
        where = f"{item['model']}, {item['batch']} x {item['length']}, {item['precision']}"
        basis = f"time of a seed's step; {cells['setting']} has {cells['ratio']:.2f}"
        verdict = "worth a feature" if worth else "not worth a feature"
        yield _advice(f"{best['replicas']} seeds in one step", where, best["ratio"], basis, verdict)


def _advice(setting: str, where: str, ratio: float, basis: str, verdict: str) -> Advice:
    return {"setting": setting, "where": where, "ratio": ratio, "basis": basis, "verdict": verdict}
