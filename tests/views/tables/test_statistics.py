"""The statistics view, and an independent computation of it from the records and predictions of a tiny sweep."""

import json
import math

import numpy as np
import pyarrow.parquet
import pytest

from dcft.results import sweeps
from tests.views.tables.conftest import build

SELECTIONS = 4000  # of the independent bootstrap


def rows(grid):
    """Cells by row, task and column."""
    return {
        (row.title, line.task): {c.key: v.text for c, v in zip(grid.columns, line.values, strict=True)}
        for group in grid.groups
        for row, line in group.lines
    }


def numbers(grid):
    """The numbers behind the cells."""
    return {
        (row.title, line.task): {
            c.key: [p.number for p in v.parts] for c, v in zip(grid.columns, line.values, strict=True)
        }
        for group in grid.groups
        for row, line in group.lines
    }


def test_without_predictions_there_are_means_and_differences_alone():
    grid = build("demo", "statistics")
    found = rows(grid)
    assert len(found) == 3 * 3
    one = found["DCFT (d=8)", "toy_pair"]
    assert one["n"] == "3"
    assert "" not in {one[key] for key in ("mean", "median", "std", "difference")}
    assert {one[key] for key in ("items", "interval", "difference_interval", "p", "holm", "rank", "best")} == {""}
    assert any(note.startswith("No predictions: 18 of 18 runs; ") for note in grid.notes)


def test_differences_are_the_baseline_s():
    found = rows(build("demo", "statistics", baseline="dcft (d=2)"))
    ours, theirs = (float(found[row, "toy_sim"]["mean"]) for row in ("LoRA (r=1)", "DCFT (d=2)"))
    gap = float(found["LoRA (r=1)", "toy_sim"]["difference"].replace("−", "-"))
    assert gap == pytest.approx(ours - theirs, abs=0.011)
    assert found["DCFT (d=2)", "toy_sim"]["difference"] == ""


def test_a_missing_seed_leaves_its_line_and_its_comparisons_blank(results):
    [path] = results.glob("runs/*/toy_sim/*lora*.s7.*")
    path.unlink()
    found = rows(build("demo", "statistics", results))
    assert found["LoRA (r=1)", "toy_sim"] | {"n": "2"} == found["LoRA (r=1)", "toy_sim"]
    assert found["LoRA (r=1)", "toy_sim"]["mean"] == found["LoRA (r=1)", "average"]["mean"] == ""
    assert found["DCFT (d=8)", "toy_sim"]["mean"]
    assert found["DCFT (d=8)", "toy_sim"]["difference"] == ""
    assert found["DCFT (d=8)", "toy_pair"]["difference"]


def test_a_sweep_whose_baseline_is_not_among_its_rows_compares_nothing(results):
    path = sweeps.path_of("demo", results)
    planned = sweeps.read(path)
    planned.baseline = "LoRA (r=4)"
    planned.write(results)
    grid = build("demo", "statistics", results)
    assert "No baseline in this sweep: nothing is compared." in grid.notes
    assert "p" not in [column.key for column in grid.columns]


def answers(results, sweep, row, task, seed, column):
    """Labels and predictions of a run's best evaluation."""
    cell = next(c for c in sweep.cells if (c.row, c.task, c.seed) == (row, task, seed))
    record = json.loads((results / cell.record).read_text())
    step = max(record["history"], key=lambda entry: entry["score"])["step"]
    path = results / cell.record.replace("runs", "predictions", 1).replace(".json", ".parquet")
    table = pyarrow.parquet.read_table(path).to_pydict()
    return np.array([value for value, at in zip(table[column], table["step"], strict=True) if at == step])


def score(task, labels, predictions):
    if task == "toy_sim":
        return 100 * np.corrcoef(labels, predictions)[0, 1]
    return 100 * np.mean(labels == predictions)


def independent(results, sweep, row, task):
    """Scores of each seed, and on selections of items, one row after the other."""
    labels = answers(results, sweep, row, task, sweep.seeds[0], "label")
    given = [answers(results, sweep, row, task, seed, "prediction") for seed in sweep.seeds]
    generator = np.random.default_rng(99)
    drawn = [generator.integers(0, len(labels), len(labels)) for _ in range(SELECTIONS)]
    scores = np.array([score(task, labels, one) for one in given])
    resampled = np.array([[score(task, labels[some], one[some]) for one in given] for some in drawn])
    return labels, given, scores, resampled


def tail(x, freedom):
    """Both tails of Student's t beyond x, by the trapezoidal rule on tan(angle)."""
    angles = np.linspace(-math.pi / 2, math.pi / 2, 200_001)[1:-1]
    points = math.sqrt(freedom) * np.tan(angles)
    density = np.cos(angles) ** (freedom - 1)  # of the angle, up to a constant
    return np.trapezoid(np.where(np.abs(points) > x, density, 0), angles) / np.trapezoid(density, angles)


def error_and_freedom(scores, resampled, items):
    seeds, of_mean, of_one = len(scores), resampled.mean(axis=1).var(), resampled.var(axis=0).mean()
    if seeds == 1:
        return math.sqrt(of_mean), items - 1
    between = scores.var(ddof=1) / seeds
    square = of_mean + max(0, between - (of_one - of_mean) / (seeds - 1))
    return math.sqrt(square), max(
        seeds - 1, square**2 / (of_mean**2 / (items - 1) + between**2 / (seeds - 1)) if square else 1
    )


def near(one, other):
    """Equal to the Monte-Carlo error of a standard error from some thousand selections."""
    assert one == pytest.approx(other, rel=0.1, abs=1e-9)


def check(results, name, seeds):
    sweep = sweeps.read(sweeps.path_of(name, results))
    assert len(sweep.seeds) == seeds
    found = numbers(build(name, "statistics", results))
    titles = [row.title for row in sweep.rows]
    base = titles.index("LoRA (r=1)")
    others = [row for row in range(len(titles)) if row != base]
    for task in ("toy_sim", "toy_cls"):
        computed = {row: independent(results, sweep, row, task) for row in range(len(titles))}
        for row, (labels, _, scores, resampled) in computed.items():
            shown = found[titles[row], task]
            assert shown["mean"] == pytest.approx([np.mean(scores)], abs=1e-12)
            if seeds > 1:
                assert shown["median"] == pytest.approx([np.median(scores)], abs=1e-12)
                assert shown["std"] == pytest.approx([np.std(scores, ddof=1)], abs=1e-12)
            near(shown["items"][0], np.sqrt(resampled.var(axis=0).mean()))
            error, freedom = error_and_freedom(scores, resampled, len(labels))
            near(tail((shown["interval"][1] - scores.mean()) / error, freedom), 0.05) if error else None
        for row in others:
            shown, (labels, given, scores, resampled) = found[titles[row], task], computed[row]
            _, other, their_scores, theirs = computed[base]
            gaps = scores - their_scores
            assert shown["difference"] == pytest.approx([gaps.mean()], abs=1e-12)
            error, freedom = error_and_freedom(gaps, resampled - theirs, len(labels))
            if seeds == 1 and task == "toy_cls":
                right, theirs_right = given[0] == labels, other[0] == labels
                b, c = int(np.sum(right & ~theirs_right)), int(np.sum(~right & theirs_right))
                exact = 2 * sum(math.comb(b + c, i) for i in range(min(b, c) + 1)) / 2 ** (b + c)
                assert shown["p"] == pytest.approx([min(1, exact)], abs=1e-12)
                assert shown["wins"] == ([] if b + c == 0 else [b / (b + c)])
            elif seeds > 1 and error:
                assert shown["p"][0] == pytest.approx(tail(abs(gaps.mean()) / error, freedom), abs=0.02)
    shown = [found[titles[row], task] for task in ("toy_sim", "toy_cls", "average") for row in others]
    ps = [cells["p"][0] for cells in shown if cells["p"]]
    for cells in shown:
        before = [p for p in ps if p <= cells["p"][0]]
        steps = [min(1, sorted(ps)[k] * (len(ps) - k)) for k in range(len(before))]
        assert cells["holm"] == pytest.approx([max(steps)], abs=1e-12)


@pytest.mark.slow
def test_an_independent_script_gives_the_same(command, tmp_path):
    """Exact where it is exact; intervals and p of t tests by their standard errors, within Monte-Carlo error."""
    limits = ["train.max_steps=40", "eval.every=20", "data.max_train=320", "data.max_eval=120", "train.batch_size=8"]
    for seeds in (3, 1):  # the cells of a single seed are among those of three
        assert command("table=demo", "model=tiny-bert", *limits, "train.lr=3e-3", f"seeds={seeds}").returncode == 0
        path = max((tmp_path / "outputs" / "demo" / "sweeps").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        check(path.parent.parent, path.stem, seeds)
