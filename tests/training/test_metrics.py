"""The metrics against independent definitions, without a network."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcft.training import metrics

labels = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60)


def counts(pairs):
    tp = sum(p == 1 and r == 1 for p, r in pairs)
    fp = sum(p == 1 and r == 0 for p, r in pairs)
    fn = sum(p == 0 and r == 1 for p, r in pairs)
    return tp, fp, fn, len(pairs) - tp - fp - fn


def compute(name, pairs):
    return metrics.create(name).compute(predictions=[p for p, _ in pairs], references=[r for _, r in pairs])


@given(labels)
def test_accuracy_and_f1_are_their_definitions(pairs):
    tp, fp, fn, tn = counts(pairs)
    values = compute("accuracy_f1", pairs)
    assert values["accuracy"] == pytest.approx(100 * (tp + tn) / len(pairs))
    assert values["f1"] == pytest.approx(100 * 2 * tp / (2 * tp + fp + fn) if tp else 0)


@given(labels)
def test_matthews_is_its_definition(pairs):
    tp, fp, fn, tn = counts(pairs)
    root = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert compute("matthews", pairs)["matthews"] == pytest.approx(100 * (tp * tn - fp * fn) / root if root else 0)


def test_correlations_are_their_definitions():
    rng = np.random.default_rng(0)
    x = rng.permutation(50) / 10
    y = x + rng.normal(size=50)
    values = compute("correlation", list(zip(x.tolist(), y.tolist(), strict=True)))
    assert values["pearson"] == pytest.approx(100 * np.corrcoef(x, y)[0, 1], abs=1e-4)
    ranks = np.corrcoef(x.argsort().argsort(), y.argsort().argsort())[0, 1]
    assert values["spearman"] == pytest.approx(100 * ranks, abs=1e-4)


@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-6, 1e-9])
def test_correlations_of_nearly_constant_predictions_are_exact(spread):
    """Numbers that differ in few bits, against sums over fractions."""
    rng = np.random.default_rng(0)
    x, y = (3.5 + spread * rng.normal(size=40)).tolist(), rng.uniform(0, 5, 40).tolist()
    values = compute("correlation", list(zip(x, y, strict=True)))
    for name, (a, b) in {"pearson": (x, y), "spearman": (np.argsort(np.argsort(x)), np.argsort(np.argsort(y)))}.items():
        a, b = ([Fraction(float(value)) for value in side] for side in (a, b))
        a, b = ([value - sum(side) / len(side) for value in side] for side in (a, b))
        product = sum(i * j for i, j in zip(a, b, strict=True))
        squares = [float(sum(value * value for value in side)) for side in (a, b)]
        assert values[name] == pytest.approx(100 * float(product) / math.sqrt(math.prod(squares)), rel=1e-6)


def test_correlation_with_a_constant_is_not_a_number():
    assert math.isnan(compute("correlation", [(1.0, 1.0), (1.0, 2.0)])["pearson"])


def test_three_classes():
    assert compute("accuracy", [(0, 0), (1, 1), (2, 0), (2, 2)]) == {"accuracy": 75.0}


@pytest.mark.parametrize(
    ("prediction", "references", "exact", "f1"),
    [
        ("The Eiffel Tower!", ["eiffel tower"], 100, 100),
        ("in the Eiffel Tower", ["Eiffel Tower"], 0, 80),  # 2 of 3 and 2 of 2 tokens
        ("Paris", ["London", "Paris, France"], 0, 100 * 2 / 3),  # the closest reference counts
        ("", ["Paris"], 0, 0),
        ("Paris", [], 0, 0),  # no answer expected
        ("", [], 100, 100),
        ("the", [], 100, 100),  # nothing is left once normalised, as in the official script
        ("a a b", ["a b b"], 0, 100 * 2 * 1 / 3),  # articles go first: "b" against "b b"
    ],
)
def test_squad_examples(prediction, references, exact, f1):
    values = metrics.create("squad_v2").compute(predictions=[prediction], references=[references])
    assert values["exact_match"] == pytest.approx(exact)
    assert values["f1"] == pytest.approx(f1)


def test_squad_v2_separates_questions_without_an_answer():
    values = metrics.create("squad_v2").compute(predictions=["x", "", "x"], references=[["x"], [], []])
    assert values["has_answer_exact_match"] == 100
    assert values["no_answer_exact_match"] == 50
    assert values["exact_match"] == pytest.approx(200 / 3)


def test_squad_v1_has_two_metrics():
    assert metrics.create("squad").compute(predictions=["x"], references=[["x"]]) == {"exact_match": 100, "f1": 100}


def test_batches_add_up():
    whole, parts = metrics.create("accuracy_f1"), metrics.create("accuracy_f1")
    rng = random.Random(0)
    predictions, references = ([rng.randrange(2) for _ in range(30)] for _ in range(2))
    for start in range(0, 30, 7):
        parts.add_batch(predictions=predictions[start : start + 7], references=references[start : start + 7])
    assert parts.compute() == whole.compute(predictions=predictions, references=references)
