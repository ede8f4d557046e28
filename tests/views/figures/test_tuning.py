"""The figure of tuning: the best of n trials, from every subset of the records' scores."""

from itertools import combinations
from statistics import mean

import pytest

from tests.fixtures import tuned
from tests.fixtures.tuned import DEFAULTS, RATES, ROWS
from tests.views.figures.conftest import draw, series, tuned_halves


def scores(row: int, task: str) -> list[float | None]:
    """Of each trial: the mean over seeds of the whole dev set's accuracy."""
    found = []
    for trial in range(len(RATES)):
        runs = [tuned_halves(row, task, trial, seed) for seed in (6, 7)]
        found.append(None if "failed" in runs else mean(map(mean, runs)))
    return found


def test_lines_are_means_over_all_draws_and_begin_where_all_draws_have_a_score(pictures):
    panels = pictures["tuning.tuned"].figure.axes
    assert [axes.get_title() for axes in panels] == ["MRPC", "RTE"]
    for axes, task in zip(panels, ("mrpc", "rte"), strict=True):
        shown = series(axes)
        for number, row in enumerate(ROWS):
            values, expected = scores(number, task), []
            for n in range(1, len(values) + 1):
                draws = [[v for v in drawn if v is not None] for drawn in combinations(values, n)]
                if all(draws):
                    expected.append((n, mean(map(max, draws))))
            assert shown[row.title] == [pytest.approx(point) for point in expected]
            default = (1.0, pytest.approx(values[DEFAULTS[number]]))
            assert default in [tuple(line.get_xydata()[0]) for line in axes.lines if line.get_fillstyle() == "none"]
    assert [x for x, _ in series(panels[1])["LoRA (r=1)"]] == [2, 3, 4], "a draw of one may be the failed trial"


def test_the_band_ends_at_the_best_trial(pictures):
    axes = pictures["tuning.tuned"].figure.axes[0]
    for band, number in zip(axes.collections, range(len(ROWS)), strict=True):
        points = band.get_paths()[0].vertices
        ys = points[points[:, 0] == 1, 1]
        assert (min(ys), max(ys)) == pytest.approx((min(scores(number, "mrpc")), max(scores(number, "mrpc"))))
        assert points[points[:, 0] == len(RATES), 1] == pytest.approx(max(scores(number, "mrpc")))


def test_the_foot_says_how_trials_are_drawn_and_chosen(pictures):
    foot = pictures["tuning.tuned"].note
    assert "4 trials of train.lr for every row and task; the best on the dev set is shown" in foot
    assert "drawn without replacement" in foot
    assert "What has no record" not in foot, "the trials that were not chosen are not missing"


def test_other_sweeps_have_no_such_figure(pictures):
    assert [name for name in pictures if name.startswith("tuning.")] == ["tuning.tuned"]
    assert any(name.startswith("figure2.tuned") for name in pictures), "other figures show the chosen trials"


def test_a_sweep_whose_trials_are_incomplete_everywhere_has_none(tmp_path, cells):
    tuned.write(tmp_path, lambda r, t, trial, s: None if trial == 0 else (80, 80), [6])
    assert draw(tmp_path, "tuned", cells) == {}
