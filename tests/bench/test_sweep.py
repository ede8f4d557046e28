"""The measurement of a sweep's throughput: what it runs, says and refuses."""

import argparse
import json

import pytest
from bench import sweep

from dcft.errors import UserError


def arguments(tmp_path, *given):
    parser = argparse.ArgumentParser()
    sweep.add_arguments(parser)
    return parser.parse_args([*given, "--results", str(tmp_path)])


def test_the_page_has_medians_and_ranges():
    sweeps = [
        {"at_once": n, "wall_s": wall, "threads": 4 // n, "samples_per_s": rate, "peak_memory_mb": peak}
        for n, wall, rate, peak in [(1, 100, 10, 800), (2, 40, 30, 700), (1, 140, 20, 810), (2, 60, 50, 720)]
    ]
    settings = {"model": "minilm-l6", "launcher": "local", "cells": 8, "steps": 40, "rounds": 2}
    page = sweep.show(
        {"settings": settings, "sweeps": sweeps, "hardware": {"gpu": None, "cpu": "a processor", "cores": 4}}
    )
    assert "8 cells (LoRA on toy_pair, minilm-l6, 40 steps of 16 rows" in page
    assert "on a processor, 4 cores" in page
    assert "\n| 1 | 4 | 120 (100 to 140) | 240 | 15 | 810 |\n" in page
    assert "\n| 2 | 2 | 50 (40 to 60) | 576 | 40 | 720 |\n" in page


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--at-once", "1", "0"], "give numbers of at least 1"),
        (["--rounds", "0"], "give numbers of at least 1"),
        (["--cells", "2"], "--cells 2: give at least as many as are run at once"),
        (["--model", "no-such", "--at-once", "1"], "ended with status 1: model=no-such: there is no such model"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, given, message):
    with pytest.raises(UserError, match=message):
        sweep.main(arguments(tmp_path, *given))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_sweeps_are_run_and_measured(tmp_path, capsys):
    given = ["--model", "tiny-bert", "--cells", "2", "--steps", "2", "--rounds", "1", "--at-once", "2", "1"]
    sweep.main(arguments(tmp_path, *given))
    report = json.loads((tmp_path / "sweep.json").read_text())
    assert [measured["at_once"] for measured in report["sweeps"]] == [2, 1]
    two, one = report["sweeps"]
    assert two["threads"] == max(one["threads"] // 2, 1)
    assert all(measured[key] > 0 for measured in (one, two) for key in ("wall_s", "samples_per_s", "peak_memory_mb"))
    assert report["hardware"]["cores"] > 0
    assert "torch" in report["versions"]
    assert capsys.readouterr().out == (tmp_path / "sweep.md").read_text()
