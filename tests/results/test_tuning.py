"""Equal tuning budgets: which trial is chosen, what is blank, and what the best of n trials is."""

from collections import Counter
from fractions import Fraction
from itertools import combinations
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcft.results import sweeps
from dcft.results.outcomes import Outcomes
from dcft.results.tuning import BAND, best_of
from dcft.views import tables
from tests.fixtures import tuned

scores = st.lists(st.one_of(st.none(), st.integers(0, 40)), min_size=1, max_size=8)


@given(scores, st.data())
def test_the_best_of_n_is_that_of_all_draws(values, data):
    """Against every subset of n trials; None is a failed trial."""
    n = data.draw(st.integers(1, len(values)))
    bests = [max((v for v in draw if v is not None), default=None) for draw in combinations(values, n)]
    found = best_of(values, n)
    if None in bests:
        assert found is None
        return
    assert found.mean == pytest.approx(float(Fraction(sum(bests), len(bests))), rel=1e-12)
    for bound, level in zip((found.low, found.high), BAND, strict=True):
        assert bound == sorted(bests)[ceil(Fraction(level, 100) * len(bests)) - 1]


def test_a_quantile_that_is_reached_exactly_counts():
    assert best_of([1, 2, 3, 4, 5, 6], 3).low == 3  # one of 20 draws, exactly 5 %, is no better


# On the first half of dev trial 3 is LoRA's best, on the whole trial 2; DCFT's are 0 and 0. Seeds disagree by 10.
FIRST = [[50, 60, 70, 80], [90, 60, 60, 60]]
SECOND = [[50, 60, 90, 40], [70, 60, 60, 60]]


def halves(row, task, trial, seed):
    """Seed 7 alone would choose LoRA's trial 0."""
    shift = {6: 10, 7: -10}[seed] * (-1 if trial == 0 else 1)
    return FIRST[row][trial] + shift, SECOND[row][trial] + shift


def shown(planned, results, protocol):
    outcomes = Outcomes(planned, results, protocol)
    return {(row, task): outcomes.series(row, task) for row in (0, 1) for task in ("mrpc", "rte")}


@pytest.mark.parametrize(
    ("protocol", "lora", "dcft"),
    [("half", [50, 30], [60, 80]), ("best", [90, 70], [70, 90]), ("last", [90, 70], [70, 90])],
)
def test_one_trial_is_chosen_for_all_seeds_and_half_reports_the_other_half(tmp_path, protocol, lora, dcft):
    planned = tuned.write(tmp_path, halves, [6, 7])
    assert shown(planned, tmp_path, protocol) == {
        (row, task): values for row, values in ((0, lora), (1, dcft)) for task in ("mrpc", "rte")
    }


def test_each_task_has_its_own_trial_and_the_note_names_it(tmp_path):
    planned = tuned.write(tmp_path, lambda r, task, t, s: (70 + t * (1 if task == "mrpc" else -1), 80), [6])
    grid = tables.build(planned, tmp_path, "ours")
    text = " ".join(grid.notes)
    assert "LoRA (r=1), MRPC: train.lr=0.01;" in text
    assert "DCFT (d=8), RTE: train.lr=1e-05." in text
    assert "4 trials of train.lr for every row and task; the best on the dev set is shown" in grid.caption
    half = tables.build(planned, tmp_path, "ours", "half")
    assert "the best on that half is shown, on the other half" in half.caption


def test_a_missing_trial_leaves_a_blank_even_beside_a_better_one(tmp_path):
    def gap(row, task, trial, seed):
        return None if (row, task, trial, seed) == (0, "rte", 0, 7) else halves(row, task, trial, seed)

    planned = tuned.write(tmp_path, gap, [6, 7])
    found = shown(planned, tmp_path, "best")
    assert [place for place, values in found.items() if None in values] == [(0, "rte")]
    text = " ".join(tables.build(planned, tmp_path, "ours").notes)
    assert "budgets must be equal: LoRA (r=1), RTE (1 of 8 runs)." in text
    assert "No record, blank" not in text, "counted twice"


def test_a_failed_trial_was_tried_and_is_never_chosen(tmp_path):
    def half_failed(row, task, trial, seed):
        return "failed" if trial == 2 and seed == 6 else halves(row, task, trial, seed)

    planned = tuned.write(tmp_path, half_failed, [6, 7])
    assert shown(planned, tmp_path, "best")[0, "mrpc"] == [70, 50]  # trial 1 or 3: the first of equals
    grid = tables.build(planned, tmp_path, "ours")
    assert "count as the worst: 4 of 16." in " ".join(grid.notes)


def test_where_every_trial_failed_the_failure_is_named(tmp_path):
    planned = tuned.write(tmp_path, lambda row, *_: "failed" if row == 0 else (80, 80), [6])
    assert shown(planned, tmp_path, "half")[0, "rte"] == [None]
    assert any(line.startswith("Failed, blank: 2 of 4 runs (LoRA") for line in tables.build(planned, tmp_path).notes)


def test_a_file_that_is_no_record_is_a_missing_trial(tmp_path):
    planned = tuned.write(tmp_path, halves, [6, 7])
    (tmp_path / planned.cells[0].record).write_text("{")
    assert shown(planned, tmp_path, "best")[0, "mrpc"] == [None, None]
    grid = tables.build(planned, tmp_path, "ours")
    assert "1 record left out" in grid.caption
    assert sum("Left out, blank" in line for line in grid.notes) == 1


def test_views_count_the_chosen_trials_alone(tmp_path):
    planned = tuned.write(tmp_path, halves, [6, 7])
    outcomes = Outcomes(planned, tmp_path, "best")
    assert Counter((cell.row, cell.task) for cell in outcomes.sweep.cells) == {
        (row, task): 2 for row in (0, 1) for task in ("mrpc", "rte")
    }
    assert len(outcomes.done) == 8
    assert set(outcomes.record_paths(0, "rte")) == {
        cell.record for cell in planned.cells if (cell.row, cell.task, cell.trial) == (0, "rte", 2)
    }


def test_a_plan_is_read_back_with_its_trials(tmp_path):
    planned = tuned.write(tmp_path, halves, [6, 7])
    assert sweeps.read(sweeps.path_of("tuned", tmp_path)) == planned
