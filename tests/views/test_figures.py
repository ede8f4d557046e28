"""The figures show what the records and results/paper hold: no more, no less, and so that it can be read."""

import csv
import json
import os
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from statistics import mean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from dcft.errors import UserError
from dcft.results import sweeps
from dcft.views import figures
from dcft.views.figures import knobs
from tests.conftest import ROOT

FAKE = ROOT / "tests" / "fixtures" / "results"
SWEEPS = sorted(path.stem for path in (FAKE / "sweeps").glob("*.json"))


@pytest.fixture(scope="module")
def cells():
    return figures.paper_cells()


@pytest.fixture
def results(tmp_path):
    """The invented records, to be changed by a test."""
    return shutil.copytree(FAKE, tmp_path / "results")


def draw(results: Path, name: str, cells) -> dict[str, figures.Picture]:
    one = sweeps.read(sweeps.path_of(name, results))
    return {picture.name: picture for picture in figures.of_sweep(one, results, cells)}


def read(name: str, results: Path = FAKE) -> dict:
    """A record by its cell's name."""
    [path] = results.glob(f"runs/*/*/{name}.json")
    return json.loads(path.read_text(encoding="utf-8"))


def paper(table: str) -> list[dict]:
    with (ROOT / "results" / "paper" / f"{table}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def series(axes) -> dict[str, list[tuple[float, float]]]:
    """What an axes shows, by the names in the legend."""
    found = {}
    for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
        line = handle[0] if hasattr(handle, "has_yerr") else handle
        found[label] = [tuple(map(float, point)) for point in line.get_xydata()]
    return found


@pytest.fixture(scope="module")
def pictures(cells) -> list[figures.Picture]:
    """Every picture of the invented records and of the paper."""
    return figures.of_paper(cells) + [p for name in SWEEPS for p in draw(FAKE, name, cells).values()]


def shown_texts(figure) -> list[tuple[str, Bbox]]:
    """Every text that can be seen, with its place; ticks outside of the axes are not drawn."""
    renderer = figure.canvas.get_renderer()
    found = [figure._suptitle, *figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        found += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            ticks = axis.get_major_ticks() + axis.get_minor_ticks()
            found += [tick.label1 for tick in ticks if low <= tick.get_loc() <= high]
    found = {id(text): text for text in found if text.get_text().strip() and text.get_visible()}
    return [(text.get_text(), Text.get_window_extent(text, renderer)) for text in found.values()]


def test_every_axis_says_what_it_shows_and_in_which_unit(pictures):
    for picture in pictures:
        for axes in picture.figure.axes:
            assert axes.get_xlabel() or [label.get_text() for label in axes.get_xticklabels()], picture.name
            assert any(unit in axes.get_ylabel() for unit in ("%", "hours", "minutes", "seconds", "Loss")), picture.name


def test_no_text_covers_another_or_leaves_the_picture(pictures):
    for picture in pictures:
        figure = picture.figure
        texts = shown_texts(figure)
        for (one, box), (other, other_box) in combinations(texts, 2):
            assert not box.padded(-1).overlaps(other_box.padded(-1)), f"{picture.name}: {one!r} and {other!r}"
        page = figure.bbox.padded(1)
        for text, box in texts:
            assert all(page.contains(*corner) for corner in (box.min, box.max)), f"{picture.name}: {text!r}"
        for legend in figure.legends:
            for axes in figure.axes:
                assert not axes.get_window_extent().overlaps(legend.get_window_extent()), picture.name


def test_labels_cover_no_point(pictures):
    for picture in pictures:
        for axes in picture.figure.axes:
            labels = [text for text in axes.texts if text.get_gid() == "label"]
            for line in axes.lines:
                for point in axes.transData.transform(line.get_xydata()):
                    assert not any(Text.get_window_extent(text).contains(*point) for text in labels), picture.name


def test_series_differ_without_colour(pictures):
    for picture in pictures:
        handles, labels = [], []
        for axes in picture.figure.axes:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                if label not in labels:
                    handles, labels = [*handles, handle], [*labels, label]
        looks = []
        for handle in handles:
            one = handle[0] if isinstance(handle, tuple) else handle
            bar = hasattr(one, "get_hatch")
            looks.append(one.get_hatch() if bar else (one.get_marker(), str(one.get_linestyle()), one.get_fillstyle()))
        assert len(set(map(str, looks))) == len(labels), (picture.name, looks)


def test_kernel_figure_shows_the_records_beside_the_paper(cells):
    scores, times = draw(FAKE, "table4", cells)["kernel.table4"].figure.axes
    printed = [row for row in paper("table4") if row["method"] == "dcft" and row["kernel"] in ("2", "8")]
    expected = {"score": [], "time": [], "paper": [], "paper time": []}
    for kernel in (2, 8):
        runs = [
            [
                read(f"{task}.deberta-v3-base.dcft-k{kernel}s{kernel}tall.s{seed}.table4.fake")
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


def test_spread_is_that_of_the_means_of_each_seed(cells):
    scores, _ = draw(FAKE, "table4", cells)["kernel.table4"].figure.axes
    by_seed = [
        mean(
            read(f"{task}.deberta-v3-base.dcft-k2s2tall.s{seed}.table4.fake")["score"]
            for task in ("sst2", "cola", "rte")
        )
        for seed in (6, 7)
    ]
    low, high = scores.containers[0].lines[2][0].get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx(stdev(by_seed))


def test_a_missing_record_leaves_a_gap_in_ours_and_nothing_in_the_papers(results, cells):
    [path] = results.glob("runs/*/rte/rte.deberta-v3-base.dcft-k2s2tall.s7.table4.fake.json")
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


def test_figure2_has_a_bar_for_every_mean_and_none_for_what_is_missing(cells):
    left, right = draw(FAKE, "table1", cells)["figure2.table1"].figure.axes
    assert [text.get_text() for text in left.get_xticklabels()] == ["MRPC", "MNLI", "RTE"]
    for axes, model in ((left, "deberta-v3-base"), (right, "roberta-large")):
        shown = {
            bars.get_label(): sorted(bar.get_height() * 60 for bar in bars)
            for bars in axes.containers
            if bars.get_label()
        }
        for title, method in (("LoRA", "lora"), ("DCFT (d=8)", "dcft-k8"), ("DCFT (d=2)", "dcft-k2")):
            paths = FAKE.glob(f"runs/{model}/*/*.{method}*.table1.fake.json")
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


def test_figure3_draws_the_mean_of_each_runs_history(cells):
    scores, losses = draw(FAKE, "demo", cells)["figure3.demo"].figure.axes
    runs = [read(f"toy_pair.minilm-l6.lora-tallr1.s{seed}.demo.fake") for seed in (6, 7, 8)]
    expected = [(e["step"], mean(run["history"][i]["score"] for run in runs)) for i, e in enumerate(runs[0]["history"])]
    assert dict(series(scores)["LoRA (r=1)"]) == pytest.approx(dict(expected))
    curves = [[tuple(point) for point in line.get_xydata()] for line in losses.lines]
    for key in ("loss", "losses"):
        steps = [e["step"] for e in runs[0]["history"]] if key == "loss" else [step for step, _ in runs[0]["losses"]]
        values = [[e["loss"] for e in r["history"]] if key == "loss" else [v for _, v in r["losses"]] for r in runs]
        wanted = [(step, mean(v)) for step, v in zip(steps, zip(*values, strict=True), strict=True)]
        assert any(dict(curve) == pytest.approx(dict(wanted)) for curve in curves), key


def test_the_papers_figures_need_no_run_and_say_so(cells):
    pictures = {picture.name: picture for picture in figures.of_paper(cells)}
    assert list(pictures) == ["kernel.paper", "stride.paper", "pareto.paper"]
    for picture in pictures.values():
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


def test_toy_data_and_substitutes_are_named_in_the_title(cells):
    for picture in draw(FAKE, "demo", cells).values():
        title = picture.figure._suptitle.get_text()
        assert all(part in title for part in ("toy data", "substitute backbone MiniLM-L6"))
    for picture in draw(FAKE, "table4", cells).values():
        title = picture.figure._suptitle.get_text()
        assert not any(part in title for part in ("toy", "substitute"))
        foot = " ".join(text.get_text() for text in picture.figure.texts).replace("\n", " ")
        assert all(part in foot for part in ("DeBERTaV3-base", "Hub", "seeds 6, 7", "best evaluation on the dev set"))


def test_the_foot_says_what_is_missing_or_doubtful(cells):
    for picture in draw(FAKE, "table1", cells).values():
        foot = " ".join(text.get_text() for text in picture.figure.texts).replace("\n", " ")
        assert "What has no record is left out" in foot
        assert "Collapsed to one answer: 1 of 18 runs" in foot


def test_another_backbone_never_shares_a_panel_with_the_papers_sizes(cells):
    [axes] = draw(FAKE, "table6-minilm-l6-local-max_steps20", cells)[
        "pareto.table6-minilm-l6-local-max_steps20"
    ].figure.axes[:1]
    assert axes.get_title() == "MiniLM-L6"
    assert all(label.startswith("ours: ") for label in series(axes))


def test_percentages_are_no_sizes(cells):
    [axes] = draw(FAKE, "table3", cells)["pareto.table3"].figure.axes  # Table 3 prints sizes in percent
    sizes = [x for found in series(axes).values() for x, _ in found]
    assert sizes
    assert min(sizes) > 1000


points = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50), st.just("")), min_size=1, max_size=20)


@given(points)
def test_the_front_is_what_nothing_beats(rows):
    front = knobs.front(rows)
    plain = {(size, score) for size, score, _ in rows}

    def beaten(point):
        return any(o != point and o[0] <= point[0] and o[1] >= point[1] for o in plain)

    assert set(front) == {point for point in plain if not beaten(point)}


@pytest.mark.parametrize("kind", ["pdf", "png", "svg"])
def test_the_same_records_give_the_same_bytes(cells, kind):
    for name in ("figure2.table1", "pareto.table1"):
        one, other = (draw(FAKE, "table1", cells)[name].render(kind) for _ in range(2))
        assert one == other


def test_a_file_that_is_no_record_is_named(results, cells):
    path = next((results / "runs").glob("*/*/*.table4.fake.json"))
    path.write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=path.name):
        draw(results, "table4", cells)


def run(*arguments, cwd: Path) -> subprocess.CompletedProcess:
    script = [sys.executable, str(ROOT / "scripts" / "figures.py"), *map(str, arguments)]
    return subprocess.run(script, cwd=cwd, capture_output=True, text=True, timeout=300, env=environment())


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


def test_command_on_a_fresh_clone_draws_the_papers_numbers_alone(tmp_path):
    result = run(cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    names = [f"{kind}.paper.{suffix}" for kind in ("kernel", "stride", "pareto") for suffix in ("pdf", "png")]
    assert result.stdout.splitlines() == [f"results/figures/{name}" for name in names]
    for name in names:
        content = (tmp_path / "results" / "figures" / name).read_bytes()
        assert content.startswith(b"%PDF" if name.endswith("pdf") else b"\x89PNG")


def test_command_draws_one_sweep_and_names_what_it_does_not_know(results):
    result = run("demo", "--results", results, cwd=results)
    assert result.returncode == 0, result.stderr
    assert {Path(line).name.split(".")[1] for line in result.stdout.splitlines()} == {"demo"}
    wrong = run("table9", "--results", results, cwd=results)
    assert wrong.returncode == 1
    [line] = wrong.stderr.splitlines()
    assert all(name in line for name in ("table9", "demo"))


def test_drawing_loads_no_torch():
    code = "import sys, dcft.views.figures; print({'torch', 'transformers', 'datasets'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), timeout=120)
    assert done.stdout.strip() == "set()", done.stderr
