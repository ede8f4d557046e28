"""Protocols and statistics: what is chosen, and what a few seeds can tell."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from dcft.results import protocols, statistics
from dcft.results.evaluation import Evaluation


def entry(step, score, first, second, **fields):
    halves = [{"accuracy": half, "score": half} for half in (first, second)]
    whole = {"loss": 0.5, "metrics": {"accuracy": score}, "collapsed": False, "train_s": 1.0, "eval_s": 1.0}
    return Evaluation(step=step, epoch=1.0, score=score, metrics_halves=halves, **whole | fields)


RUN = [entry(1, 80.0, 70.0, 90.0), entry(2, 85.0, None, 84.0), entry(3, 85.0, 86.0, 83.0), entry(4, 84.0, 86.0, 82.0)]
NO_SCORE = entry(5, None, None, None)


@pytest.mark.parametrize(("protocol", "score"), [("best", 85), ("last", 84), ("half", 83)])
def test_the_first_of_equals_is_chosen(protocol, score):
    assert protocols.evaluation(RUN, protocol)["score"] == score


def test_best_takes_the_first_of_equals():
    assert protocols.choose(RUN, "best") is RUN[1]
    assert protocols.choose(RUN, "half") is RUN[2]


def test_an_undefined_score_is_never_the_best():
    assert protocols.choose([NO_SCORE, *RUN, NO_SCORE], "best") is RUN[1]
    assert protocols.choose([NO_SCORE], "best") is None
    assert protocols.evaluation([*RUN, NO_SCORE], "last")["score"] is None


@pytest.mark.parametrize("protocol", protocols.PROTOCOLS)
def test_an_empty_history_has_no_result(protocol):
    assert protocols.evaluation([], protocol) is None


def test_half_is_undefined_without_a_first_half():
    assert protocols.evaluation([entry(1, 80.0, None, 90.0)], "half") is None


def test_mean_and_sample_deviation():
    one = statistics.summary([1.0, 3.0])
    assert (one.n, one.mean, one.std) == (2, 2.0, pytest.approx(2**0.5))
    assert statistics.summary([5.0]).std is None
    assert statistics.summary([1.0, None]) is None
    assert statistics.summary([]) is None


def test_intervals():
    assert statistics.interval([1.0]) is None
    assert statistics.interval([1.0, 2.0]) == (1.0, 2.0)
    assert statistics.interval([3.0, 3.0, 3.0]) == (3.0, 3.0)
    values = list(np.random.default_rng(1).normal(80, 1, 30))
    low, high = statistics.interval(values)
    half_width = 1.96 * np.std(values) / 30**0.5
    assert low == pytest.approx(np.mean(values) - half_width, abs=0.05)
    assert high == pytest.approx(np.mean(values) + half_width, abs=0.05)
    assert statistics.interval(values) == (low, high), "the same records give the same table"


@pytest.mark.parametrize("n", [2, 3, 5, 6, 8])
def test_p_is_exact(n):
    generator = np.random.default_rng(n)
    ours, theirs = generator.normal(0.4, 1, n), generator.normal(0, 1, n)
    differences = ours - theirs
    sums = np.array([np.dot(signs, differences) for signs in itertools.product((1, -1), repeat=n)])
    tail = min(np.mean(sums >= differences.sum() - 1e-9), np.mean(sums <= differences.sum() + 1e-9))
    assert statistics.paired(list(ours), list(theirs)).p == pytest.approx(min(1, 2 * tail))


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_ties_are_ties(n):
    """Scores are k of 277 rows in percent; whole numbers decide which sums are equal."""
    generator = np.random.default_rng(n)
    smaller = 0
    for _ in range(150):
        spread = generator.integers(1, 20)
        right = generator.integers(220, 220 + spread, (2, n))
        sums = [
            sum(sign * Fraction(int(a - b), 277) for sign, a, b in zip(signs, *right, strict=True))
            for signs in itertools.product((1, -1), repeat=n)
        ]
        expected = Fraction(sum(abs(value) >= abs(sums[0]) for value in sums), len(sums))
        ours, theirs = (100 * right / 277).tolist()
        assert statistics.paired(ours, theirs).p == expected
        smaller += sum(abs(value) == abs(sums[0]) for value in sums) > 2
    assert smaller > 10, "hardly a tie: nothing was tested"


def test_many_seeds_give_nearly_the_exact_p():
    """17 pairs: a normal distribution stands for the exact one, which nobody enumerates."""
    generator = np.random.default_rng(0)
    for shift in (0.0, 0.3, 0.6):
        ours, theirs = generator.normal(shift, 1, 17), generator.normal(0, 1, 17)
        z = abs((ours - theirs).sum()) / np.sqrt(((ours - theirs) ** 2).sum())
        p = statistics.paired(ours.tolist(), theirs.tolist()).p
        assert p == pytest.approx(math.erfc(z / 2**0.5), abs=0.02)
    assert statistics.paired([2.0] * 30, [1.0] * 30).p == 1 / (statistics.RESAMPLES + 1)


def test_the_smallest_p():
    always = statistics.paired([2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 1.5, 2.0, 2.5, 1.0])
    assert always.p == statistics.smallest_p(5) == 0.0625
    assert statistics.smallest_p(6) < 0.05


def test_one_seed_has_a_difference_and_nothing_else():
    one = statistics.paired([2.0], [1.5])
    assert (one.mean, one.interval, one.p) == (0.5, None, None)
