"""Figures show the numbers of the records and of results/paper: no more, no less."""

import csv
import json
import shutil
from pathlib import Path
from statistics import mean, stdev

import pytest

from dcft.results import sweeps
from tests.conftest import ROOT
from tests.fixtures.make import RESULTS
from tests.views.figures.conftest import SWEEPS, draw, of, series


def read(name: str, results: Path = RESULTS) -> dict:
    """A record by a pattern of its cell's name."""
    [path] = results.glob(f"runs/*/*/{name}.json")
    return json.loads(path.read_text(encoding="utf-8"))


def paper(table: str) -> list[dict]:
    with (ROOT / "results" / "paper" / f"{table}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_kernel_figure_shows_the_records_beside_the_paper(pictures):
    scores, times = pictures["kernel.table4"].figure.axes
    printed = [row for row in paper("table4") if row["method"] == "dcft" and row["kernel"] in ("2", "8")]
    expected = {"score": [], "time": [], "paper": [], "paper time": []}
    for kernel in (2, 8):
        runs = [
            [
                read(f"{task}.deberta-v3-base.dcft-k{kernel}s{kernel}tall-table4.s{seed}.*")
                for task in ("sst2", "cola", "rte")
            ]
            for seed in (6, 7)
        ]
        expected["score"].append((kernel, mean(record["score"] for seed in runs for record in seed)))
        expected["time"].append((kernel, mean(r["time"]["train_s"] for seed in runs for r in seed) / 3600))
        for metric, key in (("Acc", "paper"), ("Time", "paper time")):
            [row] = [row for row in printed if row["kernel"] == str(kernel) and row["metric"] == metric]
            expected[key].append((kernel, mean(float(row[task].rstrip("h")) for task in ("SST-2", "CoLA", "RTE"))))
    shown, shown_times = series(scores), series(times)
    assert list(shown) == ["ours: DeBERTaV3-base", "paper: DeBERTaV3-base"]
    assert times.get_ylabel() == "Mean training time (hours)"
    for got, want in (
        (shown["ours: DeBERTaV3-base"], expected["score"]),
        (shown["paper: DeBERTaV3-base"], expected["paper"]),
        (shown_times["ours: DeBERTaV3-base"], expected["time"]),
        (shown_times["paper: DeBERTaV3-base"], expected["paper time"]),
    ):
        assert [x for x, _ in got] == [x for x, _ in want]
        assert [y for _, y in got] == pytest.approx([y for _, y in want])


def test_spread_is_that_of_the_means_of_each_seed(pictures):
    scores, _ = pictures["kernel.table4"].figure.axes
    by_seed = [
        mean(
            read(f"{task}.deberta-v3-base.dcft-k2s2tall-table4.s{seed}.*")["score"] for task in ("sst2", "cola", "rte")
        )
        for seed in (6, 7)
    ]
    low, high = scores.containers[0].lines[2][0].get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx(stdev(by_seed))


def test_a_missing_record_leaves_a_gap_in_ours_and_nothing_in_the_papers(results, cells):
    [path] = results.glob("runs/*/rte/rte.deberta-v3-base.dcft-k2s2tall-table4.s7.*.json")
    path.unlink()
    scores, times = draw(results, "table4", cells)["kernel.table4"].figure.axes
    for axes in (scores, times):
        shown = series(axes)
        assert [x for x, _ in shown["ours: DeBERTaV3-base"]] == [8]
        assert [x for x, _ in shown["paper: DeBERTaV3-base"]] == [2, 8]
        assert all(y > 0 for _, y in shown["ours: DeBERTaV3-base"])


def test_without_records_a_sweep_has_no_figures(results, cells):
    shutil.rmtree(results / "runs")
    assert all(draw(results, name, cells) == {} for name in SWEEPS)


def test_figure2_has_a_bar_for_every_mean_and_none_for_what_is_missing(pictures):
    left, right = pictures["figure2.table1"].figure.axes
    assert [text.get_text() for text in left.get_xticklabels()] == ["MRPC", "MNLI", "RTE"]
    for axes, model in ((left, "deberta-v3-base"), (right, "roberta-large")):
        shown = {
            bars.get_label(): sorted(bar.get_height() * 60 for bar in bars)
            for bars in axes.containers
            if bars.get_label()
        }
        for title, method in (("LoRA", "lora"), ("DCFT (d=8)", "dcft-k8"), ("DCFT (d=2)", "dcft-k2")):
            paths = RESULTS.glob(f"runs/{model}/*/*.{method}*-table1.*.json")
            found = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
            times = sorted(record["time"]["train_s"] for record in found if record["status"] == "done")
            assert sorted(t for label, ts in shown.items() if label.startswith(title) for t in ts) == pytest.approx(
                times
            )


def test_rows_that_look_the_same_are_not_mixed_up(results, cells):
    path = sweeps.path_of("demo", results)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["rows"][2] = content["rows"][1]  # another learning rate, say, which a row does not hold
    path.write_text(json.dumps(content), encoding="utf-8")
    [axes] = draw(results, "demo", cells)["figure2.demo"].figure.axes
    heights = [bar.get_height() for bars in axes.containers if bars.get_label() == "DCFT (d=8)" for bar in bars]
    assert len(heights) == len(set(heights)) == 4


def test_figure3_draws_the_mean_of_each_runs_history(pictures):
    scores, losses = pictures["figure3.demo"].figure.axes
    runs = [read(f"toy_pair.minilm-l6.lora-tallr1-demo.s{seed}.*") for seed in (6, 7, 8)]
    expected = [(e["step"], mean(run["history"][i]["score"] for run in runs)) for i, e in enumerate(runs[0]["history"])]
    assert dict(series(scores)["LoRA (r=1)"]) == pytest.approx(dict(expected))
    curves = [[tuple(point) for point in line.get_xydata()] for line in losses.lines]
    for key in ("loss", "losses"):
        steps = [e["step"] for e in runs[0]["history"]] if key == "loss" else [step for step, _ in runs[0]["losses"]]
        values = [[e["loss"] for e in r["history"]] if key == "loss" else [v for _, v in r["losses"]] for r in runs]
        wanted = [(step, mean(v)) for step, v in zip(steps, zip(*values, strict=True), strict=True)]
        assert any(dict(curve) == pytest.approx(dict(wanted)) for curve in curves), key


def test_the_papers_figures_need_no_run_and_say_so(pictures):
    of_paper = {picture.name: picture for picture in of("paper", pictures)}
    assert list(of_paper) == ["kernel.paper", "stride.paper", "pareto.paper"]
    for picture in of_paper.values():
        assert "as printed in the paper" in picture.figure._suptitle.get_text()
        assert all(label.startswith("paper: ") for axes in picture.figure.axes for label in series(axes))
    scores, _ = pictures["stride.paper"].figure.axes
    rows = [row for row in paper("table5") if row["metric"] == "Acc"]
    means = [(int(row["stride"]), mean(float(row[task]) for task in ("CoLA", "MRPC", "STS-B", "RTE"))) for row in rows]
    assert dict(series(scores)["paper: DeBERTaV3-base"]) == pytest.approx(dict(means))
    deberta, roberta = pictures["pareto.paper"].figure.axes
    names = [
        ", ".join(t.get_text() for t in axes.texts if t.get_gid() == "label").split(", ") for axes in (deberta, roberta)
    ]
    assert [len(rows) for rows in names] == [9, 7]


def test_another_backbone_never_shares_a_panel_with_the_papers_sizes(pictures):
    axes, *_ = pictures["pareto.table6-minilm-l6-local-max_steps20"].figure.axes
    assert axes.get_title() == "MiniLM-L6"
    assert all(label.startswith("ours: ") for label in series(axes))


def test_percentages_are_no_sizes(pictures):
    [axes] = pictures["pareto.table3"].figure.axes  # Table 3 prints sizes in percent
    sizes = [x for found in series(axes).values() for x, _ in found]
    assert sizes
    assert min(sizes) > 1000


def test_a_file_that_is_no_record_is_left_out_and_named(results, cells):
    path = next((results / "runs").glob("*/rte/*k2*-table4.*.json"))
    path.write_text("{", encoding="utf-8")
    picture = draw(results, "table4", cells)["kernel.table4"]
    assert f"Left out: {path.relative_to(results)}: " in picture.note
    assert [x for x, _ in series(picture.figure.axes[0])["ours: DeBERTaV3-base"]] == [8]
