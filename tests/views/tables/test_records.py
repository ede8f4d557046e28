"""Views of records: what is printed, what is blank, what is said about it."""

import json

import pytest

from dcft.errors import UserError
from dcft.results import sweeps
from dcft.views import tables
from tests.fixtures.change import change, with_score
from tests.fixtures.make import RESULTS
from tests.views.tables.conftest import build, texts

BASE = "deberta-v3-base"
PARAMS = {"adapter": 165_888, "head": 1, "trainable": 165_889, "total": 1_000_000, "kept": None}


def record(pattern):
    [path] = RESULTS.glob(f"runs/{pattern}")
    return json.loads(path.read_text())


def test_a_cell_is_the_mean_and_sample_deviation_over_seeds():
    a, b = (record(f"{BASE}/cola/*k8*-table4.s{seed}.*")["score"] for seed in (6, 7))
    deviation = abs(a - b) / 2**0.5
    shown = texts(build("table4", "ours"))[BASE, "DCFT (d=8)"]
    assert shown["cola"] == f"{(a + b) / 2:.2f}±{deviation:.2f}"


def test_the_average_is_over_tasks_with_a_pair_s_mean():
    scores = [record(f"{BASE}/{task}/*.full-table1.*")["metrics"] for task in ("mrpc", "mnli", "rte")]
    mean = sum(sum(metrics[m] for m in metrics if m != "score") / len(metrics) for metrics in scores) / 3
    assert texts(build("table1", "ours"))[BASE, "Fine-Tune"]["average"] == f"{mean:.2f}"


def test_pairs_are_printed_and_marked_part_by_part():
    grid = build("table3", "ours")
    line = grid.groups[0].rows[0].lines[0]
    pair = line.values[-1]
    metrics = record(f"{BASE}/squad_v2/*lora*")["metrics"]
    assert pair.text == f"{metrics['exact_match']:.2f} / {metrics['f1']:.2f}"
    assert [part.name for part in pair.parts] == ["exact_match", "f1"]
    assert all(part.mark == "best" for part in pair.parts)
    assert "/" in texts(build("table1", "ours"))[BASE, "Fine-Tune"]["mnli"]


def test_missing_failed_and_impossible_cells_are_blank_and_so_are_means_over_them():
    grid = build("table1", "ours")
    shown = texts(grid)
    assert shown[BASE, "LoRA (r=1)"]["rte"] == shown[BASE, "LoRA (r=1)"]["average"] == ""  # no record
    assert shown[BASE, "DCFT (d=2)"]["mrpc"] == shown[BASE, "DCFT (d=2)"]["average"] == ""  # failed
    assert shown["roberta-large", "DCFT (d=8)"]["mrpc"] == ""  # no file
    assert shown["roberta-large", "LoRA (r=8)"]["rte"]  # collapsed, but there
    notes = "\n".join(grid.notes)
    assert "No record, blank: 1 of 18 runs." in notes
    assert "Failed, blank: 1 of 18 runs (DCFT (d=2), DeBERTaV3-base, MRPC, seed 6)." in notes
    assert "Collapsed to one answer: 1 of 18 runs (LoRA (r=8), RoBERTa-large, RTE, seed 6)." in notes
    assert "/data/glue/MRPC/train.tsv does not exist" in notes


def test_one_missing_seed_makes_a_cell_blank(results):
    [path] = results.glob(f"runs/{BASE}/rte/*k8*-table4.s7.*")
    path.unlink()
    shown = texts(build("table4", "ours", results))[BASE, "DCFT (d=8)"]
    assert shown["rte"] == shown["average"] == ""
    assert shown["cola"]
    assert texts(build("table4", "ours", results), quantity="time")[BASE, "DCFT (d=8)"]["rte"] == ""


def test_protocols_report_different_evaluations():
    run = record(f"{BASE}/rte/*full-table1.s6.*")
    history = run["history"]
    best, last, half = (
        texts(build("table1", "ours", protocol=protocol))[BASE, "Fine-Tune"]["rte"]
        for protocol in ("best", "last", "half")
    )
    assert best == f"{max(entry['score'] for entry in history):.2f}" == f"{run['score']:.2f}"
    assert last == f"{history[-1]['score']:.2f}"
    chosen = max(history, key=lambda entry: entry["metrics_halves"][0]["score"])
    assert half == f"{chosen['metrics_halves'][1]['score']:.2f}"
    assert len({best, last, half}) == 3


def test_half_is_blank_where_no_first_half_has_a_score():
    grid = build("table1", "ours", protocol="half")
    assert texts(grid)["roberta-large", "LoRA (r=8)"]["rte"] == ""
    assert any("Undefined by this protocol" in note for note in grid.notes)
    assert "chosen on one half of the dev set, reported on the other" in grid.caption


def test_compare_has_ours_the_published_figure_and_the_difference():
    grid = build("table1", "compare")
    ours = texts(grid)[BASE, "Fine-Tune"]
    assert texts(grid, "published")[BASE, "Fine-Tune"] == {
        "params": "184M",
        "mrpc": "89.22",
        "mnli": "89.98/89.95",
        "rte": "82.49",
        "average": "",  # the fixture has three of Table 1's tasks
    }
    gap = texts(grid, "difference")[BASE, "Fine-Tune"]
    assert gap["rte"] == f"{float(ours['rte']) - 82.49:+.2f}".replace("-", "−")
    assert len(gap["mnli"].split("/")) == 2
    single = texts(grid, "difference")["roberta-large", "LoRA (r=8)"]["mnli"]  # one figure is printed
    mean = sum(map(float, texts(grid)["roberta-large", "LoRA (r=8)"]["mnli"].split("/"))) / 2
    assert float(single.replace("−", "-")) == pytest.approx(mean - 90.0, abs=0.011)
    assert texts(grid, "difference")[BASE, "LoRA (r=1)"]["rte"] == ""


def test_averages_are_compared_over_the_same_tasks(results):
    path = sweeps.path_of("table1", results)
    planned = sweeps.read(path)
    extra = [sweeps.Column(t, t, ["accuracy"], ["accuracy"], False) for t in ("cola", "sst2", "qqp", "stsb", "qnli")]
    planned.columns += extra
    grid = tables.build(planned, results, "compare")
    assert texts(grid, "published")[BASE, "Fine-Tune"]["average"] == "87.82"


def test_times_are_in_a_unit_that_shows_them():
    assert texts(build("table4", "ours"), quantity="time")[BASE, "DCFT (d=8)"]["sst2"].endswith("h")
    grid = build("demo", "ours")
    shown = texts(grid, quantity="time")["minilm-l6", "DCFT (d=8)"]["toy_pair"]
    assert shown.endswith("min")
    assert not shown.startswith("0.00")
    assert any("minutes" in note for note in grid.notes)


def test_differences_of_times_are_in_hours(results):
    change(results, "*/*/*table4*", lambda content: content["time"].update(train_s=36.0))
    grid = build("table4", "compare", results)
    assert texts(grid, quantity="time")[BASE, "DCFT (d=8)"]["cola"] == "0.60±0.00min"
    assert texts(grid, "difference", "time")[BASE, "DCFT (d=8)"]["cola"] == "−0.53h"


@pytest.mark.parametrize(("name", "labels"), [("demo", ["toy data"]), ("table6-minilm-l6-local-max_steps20", [])])
@pytest.mark.parametrize("view", ["ours", "compare", "statistics"])
def test_no_format_can_lose_what_the_numbers_are(name, labels, view):
    grid = build(name, view)
    prefix = "".join(f"[{label}] " for label in [*labels, "substitute backbone MiniLM-L6"])
    assert grid.caption.startswith(prefix)
    assert any("No number here reproduces one of the paper's" in note for note in grid.notes)
    for render in tables.FORMATS.values():
        text = render(grid)
        assert prefix in text
        assert "not one of the paper" in text
    for line in tables.long_csv(grid).splitlines()[1:]:
        assert prefix in line


def test_facts_of_the_data_and_the_training_are_in_the_caption():
    caption = build("table6-minilm-l6-local-max_steps20", "ours").caption
    for fact in (
        "best evaluation",
        "seed 6",
        "local files",
        "a part of the data only: CoLA, MRPC",
        "train.max_steps=20",
    ):
        assert fact in caption
    assert "changed on the command line: model=minilm-l6 train.max_steps=20" in caption
    assert "data from the Hub" in build("table1", "ours").caption


def test_limited_rows_and_weights_from_a_folder_are_said(results):
    weights = {"identity": {"source": "local"}, "revision": None}
    limit = {"max_train": 1000}
    change(results, f"{BASE}/squad_v1/*lora*", lambda run: run["config"]["data"].update(limit), model_source=weights)
    caption = build("table3", "ours", results).caption
    assert "rows limited by data.max_train=1000" in caption
    assert "from a folder (model.path)" in caption


def test_the_published_lines_of_a_substitute_name_their_backbone():
    grid = build("table6-minilm-l6-local-max_steps20", "compare")
    assert "two different models" in "\n".join(grid.notes)
    sources = {line.values[2].text for _, line in grid.groups[0].lines}
    assert sources == {"ours", "published (deberta-v3-base)", "difference (minilm-l6 − deberta-v3-base)"}
    for line in tables.long_csv(grid).splitlines():
        if ",published," in line:
            assert ",deberta-v3-base," in line
            assert "minilm-l6," not in line.split(",published,")[0].removeprefix(grid.name)


def test_every_number_of_ours_has_its_records():
    for name in ("table4", "table1", "table3", "demo"):
        for view in ("ours", "statistics"):
            grid = build(name, view)
            for group in grid.groups:
                for _, line in group.lines:
                    for column, value in zip(grid.columns, line.values, strict=True):
                        if value.parts and not column.stub and column.key != "n":
                            assert value.records
                            assert all((RESULTS / path).is_file() for path in value.records)


def test_a_baseline_adds_its_distance_line_by_line():
    grid = build("table4", "ours", baseline="dcft (d=8)")
    ours, gap = texts(grid), texts(grid, "− DCFT (d=8)")
    expected = float(ours[BASE, "DCFT (d=2)"]["rte"].split("±")[0]) - float(
        ours[BASE, "DCFT (d=8)"]["rte"].split("±")[0]
    )
    assert float(gap[BASE, "DCFT (d=2)"]["rte"].replace("−", "-")) == pytest.approx(expected, abs=0.011)
    assert (BASE, "DCFT (d=8)") not in gap


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"baseline": "sora"}, r"baseline=sora is no row of table1; give one of Fine-Tune, LoRA \(r=1\), DCFT \(d=8\)"),
        (
            {"baseline": "dcft"},
            r"baseline=dcft is several rows of DeBERTaV3-base; give one of DCFT \(d=8\), DCFT \(d=2\)",
        ),
        ({"view": "side"}, "view=side: there is no such view; give one of ours, published, compare, statistics"),
        ({"protocol": "first"}, "protocol=first: there is no such protocol; give one of best, last, half"),
    ],
)
def test_what_names_nothing_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        build("table1", **settings)


def test_a_sweep_without_rows_of_the_paper_has_only_ours():
    assert build("demo", "compare").view == "ours"
    with pytest.raises(UserError, match="demo is not a table of the paper"):
        build("demo", "published")


def test_unequal_numbers_of_evaluations_are_said(results):
    def once(run):
        run["history"] = [entry for entry in run["history"] if entry["score"] == run["score"]]

    assert "evaluations" not in "".join(build("table1", "ours").notes[1:])
    change(results, f"{BASE}/rte/*.full-table1.*", once)
    notes = build("table1", "ours", results).notes
    assert "Runs have 1 to 3 evaluations; the best of more is higher by chance alone." in notes


def test_sizes_are_what_the_method_trains(results):
    assert texts(build("table4", "ours"))[BASE, "DCFT (d=2)"]["params"] == "83,232"
    change(results, f"{BASE}/rte/*k2*table4*", params=PARAMS | {"adapter": 1, "trainable": 2})
    assert texts(build("table4", "ours", results))[BASE, "DCFT (d=2)"]["params"] == "", "one size, or none"


def test_what_pruning_left_is_said(results):
    change(results, f"{BASE}/mrpc/*lora*table1*", params=PARAMS | {"kept": 120_000})
    change(results, f"{BASE}/mnli/*lora*table1*", params=PARAMS | {"kept": 90_000})
    notes = build("table1", "ours", results).notes
    assert "Pruning left 90,000 to 120,000 of those of LoRA (r=1), DeBERTaV3-base." in notes


def test_a_negative_score_has_a_true_minus(results):
    change(results, f"{BASE}/cola/*table4*", lambda run: with_score(run, "matthews", -3.0))
    assert texts(build("table4", "ours", results))[BASE, "DCFT (d=2)"]["cola"] == "−3.00±0.00"


def test_equal_figures_share_a_mark(results):
    change(results, f"{BASE}/rte/*k*table4*", lambda run: with_score(run, "accuracy", 90.0))
    grid = build("table4", "ours", results)
    column = [c.key for c in grid.columns].index("rte")
    marks = {row.title: row.lines[0].values[column].parts[0].mark for row in grid.groups[0].rows}
    assert marks == {"Fine-Tune": "", "DCFT (d=2)": "best", "DCFT (d=8)": "best"}
