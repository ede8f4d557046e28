"""Scores on resampled items and tests on them, against independent computations and by simulation."""

import math
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import nct, t
from sklearn.metrics import f1_score, matthews_corrcoef

from dcft.results import items, significance
from dcft.results.items import Runs


def table(labels, predictions, split="dev", **columns):
    names = split if isinstance(split, list) else [split] * len(labels)
    return pa.table({"split": names, "label": labels, "prediction": predictions} | columns)


def runs(labels, predictions, metrics, **columns):
    """Runs with these predictions, one row a seed."""
    return Runs([table(labels, one, **columns) for one in predictions], metrics)


def binary(generator, n=300, seeds=2):
    labels = generator.integers(0, 2, n)
    return labels, [np.where(generator.random(n) < 0.8, labels, 1 - labels) for _ in range(seeds)]


REFERENCES = {
    "accuracy": lambda y, p: np.mean(y == p),
    "f1": f1_score,
    "matthews": matthews_corrcoef,
    "pearson": lambda y, p: np.corrcoef(y, p)[0, 1],
}


@pytest.mark.parametrize("metric", REFERENCES)
def test_scores_of_selections_are_scores_of_the_selected_rows(metric):
    """Every selection against the metric of the rows themselves."""
    generator = np.random.default_rng(0)
    labels, predictions = binary(generator)
    if metric == "pearson":
        labels = generator.uniform(0, 5, 300)
        predictions = [3 + 1e-6 * (labels + generator.normal(size=300)) for _ in range(2)]
    one = runs(labels, predictions, [metric])
    assert one.scores == pytest.approx([100 * REFERENCES[metric](labels, p) for p in predictions], abs=1e-7)
    (weights,) = items.selections(one.sizes, "task", 20)
    scores = one.resampled(weights)
    for chosen, row in zip(weights["dev"], scores, strict=True):
        rows = np.repeat(np.arange(300), np.rint(300 * chosen).astype(int))
        assert row == pytest.approx([100 * REFERENCES[metric](labels[rows], p[rows]) for p in predictions], abs=1e-6)


def test_a_constant_answer_is_the_most_frequent_label():
    """0 for correlations, though their labels have a most frequent one too."""
    answers = table([1, 1, 1, 0], [0, 1, 0, 1])
    assert items.constant(answers, ["accuracy"]) == 75
    assert items.constant(answers, ["matthews"]) == 0
    assert items.constant(table([1.0, 4.0, 4.0, 2.5], [1.0, 2.0, 3.0, 4.0]), ["pearson"]) == 0
    both = table([1, 1, 0, 2, 0, 0], [0] * 6, ["dev"] * 4 + ["dev_mismatched"] * 2)
    assert items.constant(both, ["accuracy", "accuracy_mismatched"]) == pytest.approx((25 + 100) / 2)


def test_squad_scores_are_means_over_questions():
    columns = {"exact_match": [0.0, 100.0, 0.0], "f1": [50.0, 100.0, 0.0], "null_score": [0.0, 0.0, 0.0]}
    answers = pa.table({"split": ["dev"] * 3, **columns})
    assert Runs([answers], ["f1"]).scores == pytest.approx([50])
    assert Runs([answers], ["exact_match"]).scores == pytest.approx([100 / 3])


def test_two_dev_sets_are_drawn_apart_and_averaged():
    split = ["dev"] * 2 + ["dev_mismatched"] * 4
    one = runs([0] * 6, [[0, 1, 0, 0, 0, 1]], ["accuracy", "accuracy_mismatched"], split=split)
    assert one.sizes == {"dev": 2, "dev_mismatched": 4}
    assert one.scores == pytest.approx([(50 + 75) / 2])


def test_the_second_half_has_its_own_rows():
    labels, (predictions,) = binary(np.random.default_rng(0), 101, 1)
    whole, *parts = (Runs([table(labels, predictions)], ["accuracy"], half) for half in (None, 0, 1))
    assert [one.sizes["dev"] for one in parts] == [50, 51]
    mean = sum(one.scores[0] * one.sizes["dev"] for one in parts) / 101
    assert mean == pytest.approx(whole.scores[0])


def test_a_metric_that_cannot_be_resampled_is_named():
    with pytest.raises(KeyError, match="spearman"):
        runs([1.0, 2.0], [[1.0, 2.0]], ["spearman"])
    with pytest.raises(KeyError, match="more than two classes"):
        runs([0, 1, 2], [[0, 1, 2]], ["matthews"])


def test_the_error_of_an_accuracy_is_the_binomial_one():
    labels, predictions = binary(np.random.default_rng(1), 400, 1)
    one = runs(labels, predictions, ["accuracy"])
    (sampled,) = significance.sample([one], "task")
    p = one.scores[0] / 100
    assert significance.item_error(sampled) == pytest.approx(100 * math.sqrt(p * (1 - p) / 400), rel=0.06)
    low, high = significance.interval(sampled)
    assert (high - low) / 2 == pytest.approx(float(t.ppf(0.975, 399)) * significance.item_error(sampled))
    assert (low + high) / 2 == pytest.approx(one.scores[0])


def test_mcnemar_is_the_binomial_tail():
    """12 items that only ours gets right, 3 that only theirs does."""
    labels = np.zeros(50, int)
    ours, theirs = np.zeros(50, int), np.zeros(50, int)
    theirs[:12], ours[12:15], ours[15:20], theirs[15:20] = 1, 1, 1, 1
    pair = [runs(labels, [one], ["accuracy"]) for one in (ours, theirs)]
    expected = 2 * sum(math.comb(15, k) for k in range(4)) / 2**15
    found = significance.compare(*significance.sample(pair, "task"), tuple(pair))
    assert found.p == pytest.approx(expected, rel=1e-12)
    assert (found.difference, found.wins) == (pytest.approx(18), 12 / 15)


@pytest.mark.parametrize("metric", ["matthews", "f1", "pearson"])
def test_approximate_randomisation_is_the_exact_test_on_few_items(metric):
    """Eight items: all 2^8 exchanges, one after the other."""
    generator = np.random.default_rng(4)
    if metric == "pearson":
        labels = generator.normal(size=8)
        both = [labels + generator.normal(size=8), generator.normal(size=8)]
        both = [(one - one.mean()) / np.abs(one - one.mean()).max() for one in both]
    else:
        labels = np.array([0, 1] * 4)
        both = [np.where(generator.random(8) < share, labels, 1 - labels) for share in (0.9, 0.4)]

    def gap(first, second):
        return REFERENCES[metric](labels, first) - REFERENCES[metric](labels, second)

    observed, extreme = abs(gap(*both)), 0
    for number in range(2**8):
        swap = (number >> np.arange(8) & 1).astype(bool)
        extreme += abs(gap(np.where(swap, *both), np.where(swap, *both[::-1]))) >= observed - 1e-12
    pair = [runs(labels, [one], [metric]) for one in both]
    assert significance.items_p(*pair) == pytest.approx(extreme / 2**8, abs=4 * 0.5 / significance.SWAPS**0.5)


def test_equal_runs_do_not_differ():
    labels, predictions = binary(np.random.default_rng(2), 100, 3)
    pair = [runs(labels, predictions, ["accuracy"])] * 2
    found = significance.compare(*significance.sample(pair, "task"), tuple(pair))
    assert (found.difference, found.interval, found.p, found.wins) == (0, (0, 0), 1, None)


def test_holm_is_its_definition():
    ps = [0.01, 0.04, 0.03, 0.005]
    assert significance.holm(ps) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert significance.holm([]) == []


def test_methods_within_noise_share_a_rank():
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 2, 1000)
    all_runs = [
        runs(labels, [np.where(generator.random(1000) < share, labels, 1 - labels) for _ in range(3)], ["accuracy"])
        for share in (0.7, 0.9, 0.9, 0.5)
    ]
    samples = significance.sample(all_runs, "task")
    assert significance.ranks(samples, all_runs) == [3, 1, 1, 4]
    best = significance.chance_of_best(samples)
    assert sum(best) == pytest.approx(1)
    assert best[0] == best[3] == 0


def trained(generator, difficulty, seeds, spread, accuracy):
    """Predictions of a method: its seeds differ by `spread` (in logits), its items by their difficulty."""
    level = accuracy + generator.normal(0, spread, (seeds, 1))
    right = generator.random((seeds, len(difficulty))) < 1 / (1 + np.exp(-level - difficulty))
    return right.astype(int)  # the label of every item is 1 where an accuracy is meant


@pytest.fixture
def coarse(monkeypatch):
    """Fewer selections and exchanges, for thousands of tables."""
    monkeypatch.setattr(significance, "sample", partial(significance.sample, count=200))
    monkeypatch.setattr(significance, "SWAPS", 499)


TABLES = 2000
WITHIN = 3 * math.sqrt(0.05 * 0.95 / TABLES)  # three Monte-Carlo errors


def false_alarms(seeds, spread, metric):
    """The share of tables of two equal methods, a baseline and two tasks in which something is significant."""
    generator, alarms = np.random.default_rng(5), 0
    for _ in range(TABLES):
        ps = []
        for task in ("one", "two"):
            difficulty = generator.normal(0, 1, 100)
            right = [trained(generator, difficulty, seeds, spread, 1) for _ in range(3)]
            labels = np.ones(100, int) if metric == "accuracy" else generator.integers(0, 2, 100)
            all_runs = [runs(labels, np.where(one == 1, labels, 1 - labels), [metric]) for one in right]
            *samples, baseline = significance.sample(all_runs, task)
            pairs = zip(samples, all_runs, strict=False)
            ps += [significance.compare(one, baseline, (run, all_runs[-1])).p for one, run in pairs]
        alarms += min(significance.holm(ps)) < 0.05
    return alarms / TABLES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "spread", "metric"),
    [(1, 0, "accuracy"), (1, 0, "matthews"), (2, 0.3, "accuracy"), (5, 0.3, "accuracy")],
)
def test_equal_methods_are_rarely_told_apart(coarse, seeds, spread, metric):
    assert false_alarms(seeds, spread, metric) <= 0.05 + WITHIN


@pytest.mark.slow
def test_a_difference_between_single_runs_is_found_as_often_as_the_binomial_test_can(coarse):
    """Ours alone is right on 8 %, theirs alone on 3 %: the exact power over all counts of discordant items."""
    generator, n, tables = np.random.default_rng(6), 300, 1000
    labels, found = np.ones(n, int), 0
    for _ in range(tables):
        drawn = generator.random(n)
        pair = [runs(labels, [(drawn > low) | (drawn < high)], ["accuracy"]) for low, high in ((0.03, 0), (0.11, 0.03))]
        found += significance.items_p(*pair) < 0.05
    power = sum(
        math.comb(n, k) * 0.11**k * 0.89 ** (n - k) * math.comb(k, ours) * (8 / 11) ** ours * (3 / 11) ** (k - ours)
        for k in range(n + 1)
        if math.comb(n, k) * 0.11**k * 0.89 ** (n - k) > 1e-12
        for ours in range(k + 1)
        if 2 * sum(math.comb(k, i) for i in range(min(ours, k - ours) + 1)) / 2**k < 0.05
    )
    assert 0.3 < power < 0.9
    assert found / tables == pytest.approx(power, abs=3 * math.sqrt(0.25 / tables))


@pytest.mark.slow
def test_a_difference_between_seeds_is_found_as_often_as_a_t_test_can(coarse):
    """Five seeds and many items: the power of the paired t test with four degrees of freedom (noncentral t)."""
    generator, n, tables, shift, spread = np.random.default_rng(7), 2000, 600, 0.05, 0.02
    labels, found = np.ones(n, int), 0
    for _ in range(tables):
        rows, difficulty = [], generator.random(n)
        for mean in (0.70 + shift, 0.70):
            shares = mean + generator.normal(0, spread, 5)
            rows.append(runs(labels, [(difficulty < share).astype(int) for share in shares], ["accuracy"]))
        found += significance.compare(*significance.sample(rows, "task"), tuple(rows)).p < 0.05
    # The same items are hard for every run, so two runs differ on the items between their shares alone.
    error = math.sqrt(2 * spread**2 / 5 + shift * (1 - shift) / n)
    critical, centre = t.ppf(0.975, 4), shift / error
    power = 1 - nct.cdf(critical, 4, centre) + nct.cdf(-critical, 4, centre)
    assert 0.5 < power < 0.98
    assert found / tables == pytest.approx(power, abs=0.06)


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "spread", "factor"), [(3, 0, 0.5), (3, 0.7, 2.1), (3, 1.5, 4.0), (5, 0.7, 1.6)])
def test_a_small_p_of_few_seeds_is_approximate(seeds, spread, factor):
    """How many times more often than it should p < 0.002 comes up: more where seeds vary more (docs/design.md).

    `spread` is the variance of the mean over seeds, relative to that of the dev items: alone and with each seed.
    """
    generator, level, tables = np.random.default_rng(8), 0.002, 40_000
    resampled = generator.normal(0, 1, (200, 1)) + generator.normal(0, 1, (200, seeds))
    rest = resampled.mean(axis=1).var(ddof=1)
    both = (resampled.var(axis=0, ddof=1).mean() - rest) / (1 - 1 / seeds)  # of an item with a seed
    nothing, alarms = significance.Sample(np.zeros(seeds), np.zeros_like(resampled), 200), 0
    for _ in range(tables):
        scores = generator.normal(0, (spread * rest * seeds + both) ** 0.5, seeds)
        scores += generator.normal(0, (rest - both / seeds) ** 0.5)
        alarms += significance.compare(significance.Sample(scores, resampled, 200), nothing).p < level
    assert alarms / tables / level == pytest.approx(factor, rel=0.2, abs=0.1)
