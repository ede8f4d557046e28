"""The results page: differences and intervals by hand, verdicts that follow from them, and blanks."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from dcft.errors import UserError
from dcft.paper import printed
from dcft.results import atomic, predictions, sweeps
from dcft.results.tuning import Tuning
from dcft.views import claims
from dcft.views.claims import printed as of_paper
from dcft.views.claims import sections
from dcft.views.claims.compare import curve, paired
from dcft.views.claims.questions import QUESTIONS, SUBSTITUTE
from tests.fixtures.make import LOCAL, record, row, sweep

STRIDES = (8, 4, 2, 1)
SEEDS = [6, 7, 8]
PAPER = "deberta-v3-base"
ROWS = 400
ACCURACY, TIME, CURVE = "Stride: scores", "Stride: training time of this suite", "Convergence against LoRA"
QUESTION = {question.title: question for question in QUESTIONS}


@pytest.fixture
def written(tmp_path):
    """Write the stride table with these shares of right answers and hours; returns what the page says of it."""

    def write(right: dict[int, float], hours: dict[int, float] | None = None, without=(), model=SUBSTITUTE) -> str:
        knobs = [{"kernel": 8, "stride": s, "targets": "all"} for s in STRIDES]
        rows = [row(f"DCFT (s={k['stride']})", "dcft", model, k) for k in knobs]
        name = "minilm_stride" if model == SUBSTITUTE else "table5"
        planned = sweep(name, "Strides", ["mrpc", "rte"], rows, SEEDS, LOCAL)
        planned.write(tmp_path)
        draw = np.random.default_rng(0)
        labels = draw.integers(0, 2, ROWS)
        for cell in planned.cells:
            stride = STRIDES[cell.row]
            if (stride, cell.seed) in without:
                continue
            content = record(planned, cell, LOCAL, 7_488, (hours or {}).get(stride, 1.0))
            wrong = draw.random(ROWS) > right[stride]
            answers = pa.table(
                {"split": ["dev"] * ROWS, "label": labels, "prediction": np.where(wrong, 1 - labels, labels)}
            )
            place = tmp_path / cell.record.replace("runs", "predictions", 1).replace(".json", ".parquet")
            steps = [entry["step"] for entry in content["history"]]
            kept = predictions.write(place, dict.fromkeys(steps, answers))
            content["predictions"] = {"sha256": kept.sha256, "steps": kept.steps}
            content["hardware"] = {"cpu": "a processor", "cores": 2, "threads": 1}
            atomic.write(tmp_path / cell.record, json.dumps(content))
        return claims.page(claims.find(tmp_path, model))

    return write


def section(page: str, title: str) -> str:
    return page.split(f"## {title}\n")[1].split("\n## ")[0]


def line(page: str, *beginning: str) -> list[str]:
    """The cells of the only line of a table that begins like this."""
    [found] = [text for text in page.splitlines() if text.startswith("| " + " | ".join(beginning) + " |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_a_large_difference_is_found_and_the_claim_supported(written):
    page = written({8: 0.95, 4: 0.6, 2: 0.6, 1: 0.6})
    assert line(page, ACCURACY)[2:] == [
        "**supported**",
        "3 of 3 comparisons significant for the claim, 0 against; "
        "the printed difference lies outside the interval: DCFT (s=4), DCFT (s=2), DCFT (s=1)",
    ]
    _, _, printed, ours, interval, _, corrected, seeds, items = line(
        section(page, ACCURACY), "DCFT (s=8) − DCFT (s=1)", "Avg."
    )
    low, high = map(float, interval.split(" to "))
    assert low < 35 < high
    assert high - low < 12
    assert float(ours) == pytest.approx(35, abs=4)
    assert (float(corrected) < 0.001, seeds, items) == (True, "3", f"{2 * ROWS}")
    assert printed == "+0.12", "Table 5: (90.93 - 90.69 + 88.45 - 88.45) / 2"


def test_the_figure_has_the_differences_of_the_page(written, tmp_path):
    page = written({8: 0.95, 4: 0.6, 2: 0.6, 1: 0.6})
    [picture] = claims.pictures(claims.find(tmp_path))
    [axes] = picture.figure.axes
    titles = [label.get_text() for label in axes.get_yticklabels()]
    assert titles == [f"DCFT (s=8) − DCFT (s={stride})" for stride in (4, 2, 1)]
    for title, bar in zip(titles, axes.containers, strict=True):
        cells = line(section(page, ACCURACY), title, "Avg.")
        [[(low, _), (high, _)]] = bar.lines[2][0].get_segments()
        found = [bar.lines[0].get_xdata()[0], low, high]
        assert [f"{x:+.2f}" for x in found] == [cells[3], *cells[4].split(" to ")]


def test_equal_rows_cannot_be_told_and_a_worse_one_refutes(written):
    assert line(written(dict.fromkeys(STRIDES, 0.8)), ACCURACY)[2] == "**cannot be told**"
    page = written({8: 0.6, 4: 0.6, 2: 0.6, 1: 0.95})
    assert line(page, ACCURACY)[2] == "**not supported**"


def test_p_is_corrected_for_all_planned_comparisons_of_runs(written, tmp_path):
    """Only those of strides are measured here."""
    written({8: 0.8, 4: 0.8, 2: 0.8, 1: 0.95})
    answers = claims.find(tmp_path).answers
    planned = sum(len(answer.question.theirs) for answer in answers if not answer.timed)
    deciding = [answer.found[i] for answer in answers for i in answer.deciding]
    least = min(deciding, key=lambda one: one.p)
    assert len(deciding) < planned
    assert least.holm == pytest.approx(min(1, least.p * planned))
    assert least.holm < 1


def test_times_are_ratios_by_a_paired_test_over_seeds(written, tmp_path):
    page = written(dict.fromkeys(STRIDES, 0.8), {8: 1.0, 4: 1.5, 2: 2.0, 1: 3.0}, model=PAPER)
    assert line(page, TIME)[2] == "**supported**"
    found = {}
    for path in (tmp_path / "runs" / PAPER / "rte").glob("*.json"):
        content = json.loads(path.read_text())
        found[content["config"]["method"]["tag"], content["seed"]] = content["time"]["train_s"]
    tags = sorted({tag for tag, _ in found}, key=lambda tag: found[tag, 6])  # s=8 takes the least, s=1 the most
    logs = np.log([found[tags[0], seed] / found[tags[-1], seed] for seed in SEEDS])
    half = stats.t.ppf(0.975, 2) * logs.std(ddof=1) / np.sqrt(3)
    expected = [f"{100 * np.expm1(x):+.2f}" for x in (logs.mean(), logs.mean() - half, logs.mean() + half)]
    cells = line(section(page, TIME), "DCFT (s=8) − DCFT (s=1)", "RTE")
    assert [cells[3], *cells[4].split(" to ")] == expected
    assert float(cells[2]) == pytest.approx(100 * (1.08 / 1.62 - 1), abs=0.01), "Table 5"


def test_a_printed_difference_outside_the_interval_is_named(written):
    page = written(dict.fromkeys(STRIDES, 0.8), dict.fromkeys(STRIDES, 1.0), model=PAPER)
    _, _, word, why = line(page, TIME)
    assert word == "**cannot be told**"
    assert why.endswith("the printed difference lies outside the interval: DCFT (s=4), DCFT (s=2), DCFT (s=1)")


def test_times_of_short_runs_are_those_of_the_benchmarks_steps(written, tmp_path):
    """Strides 4, 2 and 1 take as long as 8 in the benchmark; the hours of the runs say otherwise and do not count."""
    draw = np.random.default_rng(0)
    ms = {name: draw.normal(100, 1, 15) for name in ("dcft-d8", "dcft-d8-s4", "dcft-d8-s2", "dcft-d8-s1")}
    rows = [{"name": name, "title": name, "ms": list(times)} for name, times in ms.items()]
    settings = {"model": SUBSTITUTE, "device": "cpu", "batch": 32, "length": 32, "rounds": 15, "layers": 5}
    settings |= {"of_layers": 6, "precision": "fp32", "attention": "lean", "dropout": "fast", "compile": False}
    hardware = {"cpu": "a processor", "threads": 1, "gpu": None}
    report = {"settings": settings, "hardware": hardware, "parts": [{"name": "step", "rows": rows}]}
    single = report | {"settings": settings | {"rounds": 1}}
    other = report | {"settings": settings | {"precision": "bf16"}}
    untimed = report | {"parts": [{"name": "evaluation", "rows": rows}]}
    for name, one in {"short": report, "single": single, "other": other, "untimed": untimed}.items():
        atomic.write(tmp_path / "bench" / f"step-{name}.json", json.dumps(one))
    page = written(dict.fromkeys(STRIDES, 0.8), {8: 1.0, 4: 1.5, 2: 2.0, 1: 3.0})
    assert line(page, TIME)[2] == "**cannot be told**"
    cells = line(section(page, TIME), "DCFT (s=8) − DCFT (s=1)", "32 x 32, a processor, 1 thread, 5 of 6 layers")
    logs = np.log(ms["dcft-d8"] / ms["dcft-d8-s1"])
    half = stats.t.ppf(0.975, 14) * logs.std(ddof=1) / np.sqrt(15)
    expected = [f"{100 * np.expm1(x):+.2f}" for x in (logs.mean(), logs.mean() - half, logs.mean() + half)]
    assert [cells[3], *cells[4].split(" to ")] == expected
    hours = np.array([[0.54, 1.99], [0.98, 1.22], [0.63, 1.71], [1.08, 1.62]])  # Table 5: s=8 and s=1, by task
    ratio = stats.gmean(hours[:, 0] / hours[:, 1])
    assert (float(cells[2]), cells[7]) == (pytest.approx(100 * (ratio - 1), abs=0.005), "15")
    batches = {text.split(" | ")[1] for text in section(page, TIME).splitlines() if text.startswith("| DCFT")}
    where = "a processor, 1 thread, 5 of 6 layers"
    assert batches == {f"32 x 32, {where}", f"32 x 32, precision=bf16, {where}"}, "no single round, no other part"


def test_a_printed_time_is_the_geometric_mean_over_tasks():
    hours = [[5.01, 0.54, 10.19, 1.08, 0.98, 0.63], [9.57, 0.97, 13.67, 1.63, 1.25, 0.97]]  # Table 4: d=8 and d=2
    question = QUESTION["Kernel size: training time of this suite"]
    found = of_paper.difference(printed.cells(printed.read()), question, "DCFT (d=2)")
    assert found == pytest.approx(100 * (stats.gmean(hours[0]) / stats.gmean(hours[1]) - 1)), "without its mean"


def test_updates_are_those_of_all_tables_of_a_row(written, tmp_path):
    written(dict.fromkeys(STRIDES, 0.8))
    draw = np.random.default_rng(0)
    for path in tmp_path.glob("runs/*/*/*.json"):
        content = json.loads(path.read_text())
        board = (1 if "s1" in content["config"]["method"]["tag"] else 2) * (1 + draw.random() / 10)
        content["updates"] = {"stable_rank": 1.5, "checkerboard": board / 10, "checkerboard_drawn": 0.1}
        path.write_text(json.dumps(content))
    both = sweeps.read(sweeps.path_of("minilm_stride", tmp_path))  # another table has a part of the same cells
    part = [cell for cell in both.cells if cell.seed == SEEDS[0]]
    replace(both, name="minilm_kernel", table="minilm_kernel", seeds=SEEDS[:1], cells=part).write(tmp_path)
    page = claims.page(claims.find(tmp_path))
    _, _, rank, stable, board, drawn, runs = line(section(page, "Updates"), "DCFT (s=1)")
    assert (rank, stable, drawn, runs) == ("8", "1.50", "0.10", "3 MRPC, 3 RTE")
    assert float(board) == pytest.approx(0.105, abs=0.006)


def test_what_is_missing_is_said(written):
    page = written({8: 0.95, 4: 0.6, 2: 0.6, 1: 0.6}, without=[(1, 7)])
    assert line(page, ACCURACY)[2:] == [
        "**cannot be told**",
        "2 of 2 comparisons significant for the claim, 0 against; 1 not measured yet; "
        "the printed difference lies outside the interval: DCFT (s=4), DCFT (s=2)",
    ]
    assert line(page, CURVE)[2] == "**not measured yet**"
    assert "22 of 24" in page
    table = [text.split("|")[2:-1] for text in section(page, "Scores").splitlines() if text.startswith("|")]
    scores = {title.strip(): [score.strip() for score in values] for title, _, *values in table[2:]}
    assert not any(scores["DCFT (s=1)"])
    assert all(scores["DCFT (s=4)"])


def test_one_task_of_several_decides_nothing(written, tmp_path):
    written({8: 0.95, 4: 0.6, 2: 0.6, 1: 0.6})
    for path in tmp_path.glob("runs/*/rte/*.json"):
        path.unlink()
    page = claims.page(claims.find(tmp_path))
    assert line(page, ACCURACY)[2:] == [
        "**not measured yet**",
        "some tasks lack runs or predictions, or a run learned nothing",
    ]
    assert line(section(page, ACCURACY), "DCFT (s=8) − DCFT (s=1)", "MRPC")[3].startswith("+")


def test_without_a_table_one_line_says_how_to_get_one(tmp_path):
    with pytest.raises(UserError, match="has no table of model=minilm-l6; run make results"):
        claims.page(claims.find(tmp_path))


def test_with_one_seed_nothing_can_be_told(written, tmp_path):
    written({8: 0.95, 4: 0.6, 2: 0.6, 1: 0.6})
    plan = sweeps.read(sweeps.path_of("minilm_stride", tmp_path))
    replace(plan, seeds=[6], cells=[cell for cell in plan.cells if cell.seed == 6]).write(tmp_path)
    page = claims.page(claims.find(tmp_path))
    assert line(page, ACCURACY)[2:] == ["**cannot be told**", "one seed"]
    assert line(section(page, ACCURACY), "DCFT (s=8) − DCFT (s=1)", "Avg.")[7] == "1"


def test_of_two_plans_of_a_table_that_with_more_runs_counts(written, tmp_path):
    written(dict.fromkeys(STRIDES, 0.8))
    plan = sweeps.read(sweeps.path_of("minilm_stride", tmp_path))
    part = [cell for cell in plan.cells if cell.seed == 6]
    replace(plan, seeds=[6], cells=part).write(tmp_path)
    replace(plan, name="minilm_stride-seeds3").write(tmp_path)
    replace(plan, name="minilm_stride-slow", overrides=["train.lr=1"]).write(tmp_path)
    page = claims.page(claims.find(tmp_path))
    assert line(page, "minilm_stride-seeds3")[1:] == [
        "24 of 24",
        "`python run.py table=minilm_stride seeds=6,7,8 data.root=PATH`",
    ]


def test_a_learning_curve_is_what_is_learned_relative_to_its_best(written, tmp_path):
    written({8: 0.9, 4: 0.6, 2: 0.8, 1: 0.8})
    strides = sweeps.read(sweeps.path_of("minilm_stride", tmp_path))
    titles = ("DCFT (d=8)", "LoRA (r=1)", "", "")
    rows = [replace(one, title=title) for one, title in zip(strides.rows, titles, strict=True)]
    sweep = replace(strides, name="minilm_lora", table="minilm_lora", rows=rows)
    sweep.write(tmp_path)
    labels = np.random.default_rng(0).integers(0, 2, ROWS)  # those of `written`
    floor, curves = 100 * max(labels.mean(), 1 - labels.mean()), {}
    for cell in sweep.cells:
        scores = np.array([one["score"] for one in json.loads((tmp_path / cell.record).read_text())["history"]])
        curves[cell.row, cell.task, cell.seed] = 100 * np.mean(scores - floor) / max(scores - floor)
    expected = np.mean([curves[0, "mrpc", seed] - curves[1, "mrpc", seed] for seed in SEEDS])
    page = claims.page(claims.find(tmp_path))
    assert line(section(page, CURVE), "DCFT (d=8) − LoRA (r=1)", "MRPC")[3] == f"{expected:+.2f}"


def test_a_run_that_learns_nothing_has_no_curve():
    scores = [SimpleNamespace(score=score) for score in (68.0, 68.0, 68.0)]
    assert curve(scores, 68.0) is None
    assert curve([*scores, SimpleNamespace(score=72.0)], 68.0) == 25


def test_failed_trials_choose_none():
    rows, columns = [SimpleNamespace(title="LoRA")], [SimpleNamespace(title="RTE", task="rte")]
    sweep = SimpleNamespace(rows=rows, columns=columns, seeds=[6], trials=[{"train.lr": "1e-4"}, {"train.lr": "1e-3"}])
    outcomes = SimpleNamespace(sweep=sweep, tuning=Tuning({(0, "rte"): [None, None]}, {}, {}))
    *_, table = sections.trials(outcomes)
    assert line(table, "LoRA", "RTE") == ["LoRA", "RTE", "", ""]


def test_equal_numbers_do_not_differ():
    assert paired(np.zeros(3), relative=False) == (0, (0, 0), 1)
