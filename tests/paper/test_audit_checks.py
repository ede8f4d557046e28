"""The audit's arithmetic: units and rounding, scores that can be one run, and errors in what it reads."""

from decimal import Decimal
from fractions import Fraction

import pytest

from dcft.errors import UserError
from dcft.paper import audit
from dcft.paper.audit import single_runs
from dcft.paper.audit.units import ways
from tests.conftest import replace_once


@pytest.mark.parametrize(
    ("count", "printed", "expected"),
    [
        (83_232, "0.079M", ["2^20"]),
        (25_344, "24k", ["2^10 cut"]),
        (30_240, "0.029M", ["2^20 rounded"]),
        (165_888, "0.17M", ["10^6 rounded"]),
        (313_536, "0.31M", ["10^6"]),
        (102_912, "0.1M", ["10^6", "2^20 rounded"]),
        (408, "408", ["plain"]),
        (25_344, "24.6k", []),
    ],
)
def test_units(count, printed, expected):
    assert ways(count, printed) == expected


def test_percentages_are_of_the_whole():
    assert ways(83_232, "0.04%", 183_833_090) == ["cut"]
    assert ways(83_232, "0.05%", 183_833_090) == ["rounded"]


@pytest.mark.parametrize(
    ("score", "rows"), [("88.45", 277), ("83.39", 277), ("90.93", 408), ("95.53", 872), ("86.6", 277)]
)
def test_scores_on_the_grid(score, rows):
    assert single_runs.on_grid(Decimal(score), rows)


@pytest.mark.parametrize(("score", "rows"), [("88.46", 277), ("83.02", 277), ("89.25", 408)])
def test_scores_off_the_grid(score, rows):
    assert not single_runs.on_grid(Decimal(score), rows)


def test_chances():
    assert single_runs.share(277, 2) == Fraction(278, 10_001)
    assert single_runs.share(10_000, 2) == 1
    assert single_runs.at_least(0, [0.5, 0.5]) == pytest.approx(1)
    assert single_runs.at_least(1, [0.5, 0.5]) == pytest.approx(0.75)
    assert single_runs.at_least(2, [0.5, 0.1]) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("claims.csv", "reduction,", "reduktion,", r"claims\.csv:2: claim=reduktion: give one of reduction"),
        (
            "claims.csv",
            'than that of SoRA",5.43',
            'than that of SoRA",',
            r"claims\.csv:9: claim=rte_lead: value=: give its number",
        ),
        ("table3.csv", "84.7 / 87.7", "", r"claims\.csv:\d+: claim=squad_\w+: a figure that it is about is blank"),
        ("table1.csv", "base,sora", "base,lora", r"table1\.csv has no row with score and .*method=sora"),
        ("table1.csv", "dcft,8,8,all", "dcft,7,7,all", r"table1\.csv:9: a dimension of 768 is not covered"),
    ],
)
def test_figures_that_a_check_needs_are_named_in_one_line(copy, file, old, new, line):
    replace_once(copy / file, old, new)
    with pytest.raises(UserError, match=line) as error:
        audit.run(copy)
    assert "\n" not in str(error.value)
