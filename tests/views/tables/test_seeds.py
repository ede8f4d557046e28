"""The statistics view."""

import pytest

from dcft.results import statistics, sweeps
from tests.views.tables.conftest import build


def rows(grid):
    """Cells by row, task and column."""
    return {
        (row.title, line.task): {c.key: v.text for c, v in zip(grid.columns, line.values, strict=True)}
        for group in grid.groups
        for row, line in group.lines
    }


def test_one_line_a_row_and_task():
    found = rows(build("demo", "statistics"))
    assert len(found) == 3 * 3
    one = found["DCFT (d=8)", "toy_pair"]
    assert one["n"] == "3"
    low, high = map(float, one["interval"].split(" to "))
    assert low <= float(one["mean"]) <= high
    assert float(one["p"]) in (0.25, 0.5, 0.75, 1.0), "exact: multiples of 2 / 2^3"


def test_differences_are_the_baseline_s():
    found = rows(build("demo", "statistics", baseline="dcft (d=2)"))
    ours, theirs = (float(found[row, "toy_sim"]["mean"]) for row in ("LoRA (r=1)", "DCFT (d=2)"))
    gap = float(found["LoRA (r=1)", "toy_sim"]["difference"].replace("−", "-"))
    assert gap == pytest.approx(ours - theirs, abs=0.011)
    assert found["DCFT (d=2)", "toy_sim"]["difference"] == ""


def test_it_says_how_small_p_can_be():
    notes = " ".join(build("demo", "statistics").notes)
    assert f"with these 3, {statistics.smallest_p(3)}" in notes
    assert "only from 6 seeds on" in notes
    assert "Baseline: LoRA (r=1) on MiniLM-L6" in notes


def test_a_missing_seed_leaves_its_line_and_its_comparisons_blank(results):
    [path] = results.glob("runs/*/toy_sim/*lora*.s7.*")
    path.unlink()
    found = rows(build("demo", "statistics", results))
    assert found["LoRA (r=1)", "toy_sim"] | {"n": "2"} == found["LoRA (r=1)", "toy_sim"]
    assert found["LoRA (r=1)", "toy_sim"]["mean"] == found["LoRA (r=1)", "average"]["mean"] == ""
    assert found["DCFT (d=8)", "toy_sim"]["mean"]
    assert found["DCFT (d=8)", "toy_sim"]["difference"] == ""
    assert found["DCFT (d=8)", "toy_pair"]["difference"]


def test_one_seed_has_no_spread():
    found = rows(build("table1", "statistics"))
    one = found["DCFT (d=8)", "mnli"]
    assert one["mean"]
    assert one["std"] == one["interval"] == one["p"] == ""
    assert one["difference"], "LoRA, the sweep's own baseline, has this task"


def test_a_sweep_whose_baseline_is_not_among_its_rows_compares_nothing(results):
    path = sweeps.path_of("demo", results)
    planned = sweeps.read(path)
    planned.baseline = "LoRA (r=4)"
    planned.write(results)
    grid = build("demo", "statistics", results)
    assert "No baseline in this sweep: nothing is compared." in grid.notes
    assert "p" not in [column.key for column in grid.columns]
