"""A verdict follows from the signs, the corrected p and the single tasks of its comparisons."""

import pytest

from dcft.views.claims.compare import Difference
from dcft.views.claims.questions import QUESTIONS
from dcft.views.claims.verdict import verdict

QUESTION = {question.title: question for question in QUESTIONS}
SCORE, TIME = "DCFT against LoRA of rank 1", "Training time of this suite against LoRA"


def difference(task: str, mean: float, p: float, holm: float | None = None, theirs: str = "LoRA (r=1)") -> Difference:
    return Difference("DCFT (d=8)", theirs, task, mean, (mean - 2, mean + 2), p, 3, holm=holm)


def test_a_weaker_checkerboard_supports_the_claim():
    question = QUESTION["Kernel size: checkerboards"]
    found = [difference("Avg.", -40, 0.001, 0.01, theirs) for theirs in question.theirs]
    assert verdict(question, found, found)[0] == "supported"


def test_the_sign_of_a_time_is_turned():
    faster = difference("RTE", -10, 0.001, 0.001)
    assert verdict(QUESTION[TIME], [faster], [faster])[0] == "supported"
    assert verdict(QUESTION["Convergence against LoRA"], [faster], [faster])[0] == "not supported"


@pytest.mark.parametrize(
    ("mean", "of_task", "p_of_task", "word"),
    [
        (20, -12, 0.04, "cannot be told"),  # one task's collapse makes the mean
        (20, -12, 0.06, "supported"),
        (20, 12, 0.04, "supported"),
        (-20, 12, 0.04, "cannot be told"),
        (-20, -12, 0.04, "not supported"),
    ],
)
def test_a_mean_decides_nothing_against_a_single_task(mean, of_task, p_of_task, word):
    average = difference("Avg.", mean, 0.001, 0.001)
    tasks = [difference("STS-B", 4 * mean, 0.001), difference("CoLA", of_task, p_of_task)]
    found, why = verdict(QUESTION[SCORE], [average], [*tasks, average])
    assert found == word
    assert ("significant both ways: LoRA (r=1)" in why) == (word == "cannot be told")


def test_times_that_differ_both_ways_cannot_be_told():
    shapes = [difference("8 x 32", 8, 0.001, 0.001), difference("32 x 32", -10, 0.001, 0.001)]
    assert verdict(QUESTION[TIME], shapes, shapes)[0] == "cannot be told"
    assert verdict(QUESTION[TIME], shapes[:1], shapes[:1])[0] == "not supported"


def test_a_task_of_another_row_is_no_objection():
    question = QUESTION["DCFT against other baselines"]
    averages = [difference("Avg.", 20, 0.001, 0.001, theirs) for theirs in question.theirs]
    objection = difference("CoLA", -12, 0.001, None, "no row of the question")
    assert verdict(question, averages, [*averages, objection])[0] == "supported"
