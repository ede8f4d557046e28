"""Which leads of DCFT exceed chance: by hand, by simulation, and how many they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from dcft.paper.audit import noise, sampling
from dcft.paper.audit.findings import FAILS, HOLDS, UNTOLD, VERDICTS
from dcft.views.tables.published import published_grid

BASE = "deberta-v3-base"
DRAWS = 20_000  # the standard deviation of so many draws is known to 1 / sqrt(2 x 20,000) = 0.5 %
NEAR = 0.025  # five times that


@pytest.fixture(scope="module")
def leads(audited):
    return {finding.id: finding for finding in audited.findings if finding.kind == "noise"}


def test_rte_by_hand(leads):
    """88.45 % against 84.48 % of 277 rows.

    Paired: 0.0397 x (1 - 0.0397) / 277 = 1.3763e-4, root 0.011732, x 1.96 = 2.30 points.
    Independent: (0.8845 x 0.1155 + 0.8448 x 0.1552) / 277 = 0.233273 / 277 = 8.4214e-4, root 0.029020, x 1.96 = 5.69.
    """
    finding = leads[f"noise/table1/{BASE}-DCFT-d8/padapter/RTE"]
    assert finding.printed == "88.45 - 84.48 = 3.97"
    assert finding.computed == "1.96 errors are 2.30 if fully paired, 5.69 if independent"
    assert (finding.verdict, finding.headline) == (UNTOLD, True)


def test_exact_match_by_hand(leads):
    """87.3 % against 84.4 % of 10,570 rows.

    Paired: 0.029 x 0.971 / 10,570 = 2.6640e-6, root 0.0016322, x 1.96 = 0.32 points.
    Independent: (0.873 x 0.127 + 0.844 x 0.156) / 10,570 / 10,570 = 2.2946e-5, root 0.0047902, x 1.96 = 0.94.
    """
    finding = leads[f"noise/table3/{BASE}-DCFT-d2/hadapter/SQuADv1.1-EM"]
    assert finding.computed == "1.96 errors are 0.32 if fully paired, 0.94 if independent"
    assert (finding.verdict, finding.headline) == (HOLDS, False)


def test_three_rows_of_mrpc_are_chance_even_if_no_other_row_differs(leads):
    finding = leads["noise/table1/roberta-large-DCFT-d8/lora/MRPC"]  # 371 and 368 of 408
    assert (finding.printed, finding.verdict, finding.headline) == ("90.9 - 90.2 = 0.7", FAILS, True)


def test_the_error_of_an_average_is_that_of_its_tasks(leads):
    """Eight tasks, MNLI's two dev sets a half each: hypot over the tasks / 8."""
    row = f"noise/table1/{BASE}-DCFT-d2/bitfit/"
    wide = {id.removeprefix(row): float(f.computed.split()[-3]) for id, f in leads.items() if id.startswith(row)}
    average, matched, other = wide.pop("Avg."), wide.pop("MNLI-matched"), wide.pop("MNLI-mismatched")
    assert len(wide) == 7
    assert average == pytest.approx(np.hypot.reduce([*wide.values(), np.hypot(matched, other) / 2]) / 8, abs=0.01)


@pytest.mark.parametrize(
    ("figure", "computed"),
    [
        # 90.5 % and 90.0 % of 9,815 + 9,832 rows: 1.96 x root((0.085975 + 0.09) / 19,647)
        ("table1/roberta-large-DCFT-d2/lora/MNLI", "0.59 if independent"),
        # Spearman: 1.96 x hypot(0.15801 x 1.19206, 0.16442 x 1.19071) / root(1,497)
        (f"table1/{BASE}-DCFT-d2/lora/STS-B", "1.38 if independent"),
        # means of row scores in [0, 1]: 1.96 x root((0.061644 + 0.065959) / 10,570)
        (f"table3/{BASE}-DCFT-d2/lora/SQuADv1.1-F1", "0.00 if fully paired, 0.68 if independent"),
    ],
)
def test_each_figure_has_the_error_of_its_metric_and_dev_set(leads, figure, computed):
    assert leads[f"noise/{figure}"].computed.endswith(computed)


def test_the_bounds_of_qqp_hold_for_accuracy_and_for_its_mean_with_f1():
    pair, rows = (0.896, 0.8668), 40_430
    readings = [
        sampling.proportion(*pair, rows),
        sampling.confusion(sampling.accuracy_f1, *pair, noise.POSITIVE["qqp"], rows),
    ]
    narrow, wide = noise.error("qqp", "QQP", 89.6, 86.68, rows)
    assert narrow == pytest.approx(100 * min(one.narrow for one in readings))
    assert wide == pytest.approx(100 * max(one.wide for one in readings))


SCORES = st.floats(0, 1)


@given(SCORES, SCORES, st.integers(5, 10**5))
def test_full_pairing_is_narrower_than_independence(first, second, rows):
    for bounds in (sampling.proportion, sampling.bounded, sampling.correlation):
        narrow, wide = bounds(first, second, rows)
        assert 0 <= narrow <= wide + 1e-9
        assert bounds(first, second, 4 * rows).narrow <= narrow


@pytest.mark.parametrize("metric", [sampling.accuracy, sampling.accuracy_f1, sampling.matthews])
@pytest.mark.parametrize("scores", [(0.9, 0.88), (0.5, 0.4), (1.0, 0.01), (0.7, 0.7)])
def test_so_it_is_over_all_confusion_matrices(metric, scores):
    narrow, wide = sampling.confusion(metric, *scores, 0.37, 500)
    assert 0 <= narrow <= wide
    assert sampling.confusion(metric, *scores, 0.37, 2000) == pytest.approx((narrow / 2, wide / 2))
    if metric is sampling.accuracy:
        assert (narrow, wide) == pytest.approx(sampling.proportion(*scores, 500), rel=1e-3, abs=1e-9)


METRICS = [
    (sampling.matthews, matthews_corrcoef),
    (sampling.f1, f1_score),
    (sampling.accuracy_f1, lambda y, p: (accuracy_score(y, p) + f1_score(y, p)) / 2),
]


def drawn(shares, rows):
    """Confusion matrices of random dev sets, as shares: a function of `metric`'s three arguments."""
    counts = np.random.default_rng(0).multinomial(rows, shares.ravel(), DRAWS).reshape(DRAWS, *shares.shape)
    return counts / rows


@pytest.mark.parametrize(("metric", "reference"), METRICS)
def test_the_delta_method_gives_the_spread_over_random_dev_sets(metric, reference):
    shares = np.array([[0.24, 0.07], [0.05, 0.64]])  # by label and prediction
    dev = np.repeat([[0, 0], [0, 1], [1, 0], [1, 1]], [24, 7, 5, 64], axis=0)
    assert metric(0.64, 0.71, 0.69) == pytest.approx(reference(*dev.T))
    tables = drawn(shares, 1043)
    scores = metric(tables[:, 1, 1], tables[:, :, 1].sum(axis=1), tables[:, 1].sum(axis=1))
    variance = sampling.variance(metric, np.array([0.64]), np.array([0.71]), 0.69)
    assert np.std(scores) == pytest.approx((variance[0] / 1043) ** 0.5, rel=NEAR)
    hits, predicted = sampling.matrices(metric, metric(0.64, 0.71, 0.69), 0.69)
    assert metric(hits, predicted, 0.69) == pytest.approx(metric(0.64, 0.71, 0.69))
    assert min(predicted) < 0.71 < max(predicted)


@pytest.mark.parametrize("metric", [sampling.matthews, sampling.accuracy_f1])
@pytest.mark.parametrize("both", [0.02, 0.05])  # rows of each class that both runs get wrong
def test_two_runs_that_share_errors_lie_between_the_bounds(metric, both):
    shares = np.zeros((2, 2, 2))  # by label and the two predictions
    shares[0] = [[0.31 - 0.13 + both, 0.06 - both], [0.07 - both, both]]
    shares[1] = [[both, 0.05 - both], [0.06 - both, 0.69 - 0.11 + both]]
    tables = drawn(shares, 1043)
    actual = tables[:, 1].sum(axis=(1, 2))
    one, other = (tables.sum(axis=axis) for axis in (3, 2))
    scores = [metric(run[:, 1, 1], run[:, :, 1].sum(axis=1), actual) for run in (one, other)]
    truth = [metric(hits, predicted, 0.69) for hits, predicted in ((0.64, 0.71), (0.63, 0.69))]
    narrow, wide = sampling.confusion(metric, *truth, 0.69, 1043)
    assert narrow < np.std(scores[0] - scores[1]) < wide


def test_correlations_of_normal_scores_spread_as_the_formulas_say():
    first, second, between, rows, draws = 0.92, 0.90, 0.95, 400, 5000  # so many draws tell a spread to 1 %
    covariance = [[1, first, second], [first, 1, between], [second, between, 1]]
    samples = np.random.default_rng(0).multivariate_normal(np.zeros(3), covariance, (draws, rows))
    pearson, spearman = (correlated(values) for values in (samples, rankdata(samples, axis=1)))
    formula = sampling.pearson_variance(first, second, between, rows) ** 0.5
    assert np.std(pearson[:, 0] - pearson[:, 1]) == pytest.approx(formula, rel=0.05)
    rank = spearman[:, 0].mean()
    assert np.std(spearman[:, 0]) * 2**0.5 == pytest.approx(sampling.correlation(rank, rank, rows).wide, rel=0.05)
    assert sampling.correlation(first, second, rows).narrow < formula < sampling.correlation(first, second, rows).wide


def correlated(samples):
    """Pearson's correlation of the first variable with the others, in every sample."""
    scores = (samples - samples.mean(axis=1, keepdims=True)) / samples.std(axis=1, keepdims=True)
    return (scores[:, :, :1] * scores[:, :, 1:]).mean(axis=1)


def test_the_summary_counts_the_findings(audited, leads):
    frame = audited.noise.set_index("table").astype(float)
    assert list(frame.index) == [*(f"Table {n}" for n in range(1, 7)), "all"]
    for table, line in frame.iterrows():
        part = [f for f in leads.values() if table in (f.table, "all")]
        for word, chosen in (("leads", part), ("bold wins", [f for f in part if f.headline])):
            assert line[word] == len(chosen)
            assert [line[f"{word}: {v}"] for v in VERDICTS] == [sum(f.verdict == v for f in chosen) for v in VERDICTS]
    assert audited.noise_by_figure["leads"].astype(int).sum() == frame.loc["all", "leads"] == len(leads)


def test_bold_wins_are_the_marks_of_the_printed_tables_that_no_other_method_shares(leads):
    """Counted from the marks of Tables 1 to 3; in Tables 4 to 6 DCFT has no rival but full fine-tuning."""
    marked = {}  # methods with the best figure, by table, backbone, column and place in a pair
    for name in ("table1", "table2", "table3"):
        grid = published_grid(name)
        for row, line in (pair for group in grid.groups for pair in group.lines):
            for column, value in zip(grid.columns, line.values, strict=True):
                for place, part in enumerate(value.parts):
                    if part.mark == "best" and column.key != "params":
                        marked.setdefault((name, row.model, column.key, place), set()).add(row.method)
    assert sum(finding.headline for finding in leads.values()) == list(marked.values()).count({"dcft"}) == 20


def test_a_lead_larger_than_any_error_holds():
    bounds = sampling.Bounds(0.5, 2.0)
    assert [noise.judge(lead, bounds) for lead in (0.98, 0.99, 3.92, 3.93)] == [FAILS, UNTOLD, UNTOLD, HOLDS]
