"""Protocols and summaries: which evaluation is chosen, and mean, median and spread over seeds."""

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


def test_mean_median_and_sample_deviation():
    one = statistics.summary([1.0, 3.0, 8.0])
    assert (one.n, one.mean, one.median, one.std) == (3, 4.0, 3.0, pytest.approx(13**0.5))
    assert statistics.summary([5.0]).std is None
    assert statistics.summary([1.0, None]) is None
    assert statistics.summary([]) is None
