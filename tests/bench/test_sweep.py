"""The throughput of a sweep."""

import pytest

from bench import sweep


def test_the_page_has_medians_and_ranges():
    sweeps = [
        {"at_once": n, "wall_s": wall, "threads": 4 // n, "samples_per_s": rate, "peak_memory_mb": peak}
        for n, wall, rate, peak in [(1, 100, 10, 800), (2, 40, 30, 700), (1, 140, 20, 810), (2, 60, 50, 720)]
    ]
    settings = {"model": "minilm-l6", "launcher": "local", "cells": 8, "steps": 40, "rounds": 2}
    page = sweep.page({"settings": settings, "sweeps": sweeps, "hardware": {"gpu": None}})
    assert page[0].startswith("8 cells (LoRA on toy_cls, minilm-l6, 40 steps of 16 rows")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page[-2:]]
    assert rows == [
        ["1", "4", "120 (100 to 140)", "240", "15", "810"],
        ["2", "2", "50 (40 to 60)", "576", "40", "720"],
    ]


@pytest.mark.slow
def test_a_sweep_is_run_and_measured(measure):
    options = ["--model", "tiny-bert", "--cells", 2, "--steps", 2, "--rounds", 1, "--at-once", 2]
    report, page = measure("sweep", *options)
    [result] = report["sweeps"]
    assert result["at_once"] == 2
    assert all(result[key] > 0 for key in ("threads", "wall_s", "samples_per_s", "peak_memory_mb"))
    assert page.startswith("2 cells")
