"""Tables from small records: what is printed, what is blank, what is said about it."""

import shutil
import subprocess

import pytest

from dcft import records, tables
from dcft.plan import plan
from tests.conftest import configure

TABLE = {
    "name": "small",
    "caption": "A small table & its 100% caption.",
    "base": {"model": "minilm-l6", "train.epochs": 1},
    "rows": [{"method": "lora"}, {"method": "dcft", "kernel": 8}, {"method": "dcft", "kernel": 2}],
    "columns": ["rte", "stsb"],
    "seeds": [6, 7],
}
SCORES = {  # row, column -> score of each seed
    (0, "rte"): [60.0, 62.0],
    (0, "stsb"): [80.0, 81.0],
    (1, "rte"): [63.0, 65.0],
    (1, "stsb"): [79.0, None],
    (2, "rte"): [61.0, 61.0],
    (2, "stsb"): [82.0, 82.0],
}


def record_of(cell, score, **fields):
    return {
        "cell": cell.config.cell,
        "status": "done",
        "score": score,
        "toy": False,
        "substitute_backbone": True,
        "collapsed": False,
        "params": {"adapter": [4608, 7488, 11016][cell.row]},
        "data_source": {"complete": True},
        "config": {
            "task": {"title": cell.config.task.title},
            "model": {"title": cell.config.model.title},
            "data": {"max_train": None, "max_eval": None},
        },
    } | fields


@pytest.fixture
def cells(tmp_path):
    planned = plan(TABLE, [f"results.dir={tmp_path}"], lambda overrides: _compose(overrides))
    for cell in planned:
        score = SCORES[cell.row, cell.column][cell.seed - 6]
        if score is not None:
            records.write(cell.config.record_path, record_of(cell, score))
    return planned


def _compose(overrides):
    from hydra import compose, initialize_config_dir

    from tests.conftest import ROOT

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=overrides)


def test_a_plan_is_rows_times_columns_times_seeds(cells):
    assert len(cells) == 12
    assert len({cell.config.cell for cell in cells}) == 12
    assert cells[0].command.startswith("python run.py task=rte model=minilm-l6 train.epochs=1 method=lora seed=6")
    again = configure(*cells[5].overrides)
    assert again.cell == cells[5].config.cell


def test_the_command_line_goes_before_the_table(tmp_path):
    planned = plan(TABLE, ["model=tiny-bert", "seed=3"], _compose)
    assert {cell.config.model.name for cell in planned} == {"tiny-bert"}
    assert {cell.config.seed for cell in planned} == {3}


def test_means_and_blanks(cells):
    view = tables.build(TABLE, cells)
    assert list(view.scores.columns) == ["#Params", "RTE", "STS-B", "Avg."]
    assert list(view.scores.index) == ["LoRA (r=1)", "DCFT (d=8)", "DCFT (d=2)"]
    assert view.scores.loc["LoRA (r=1)"].tolist() == [4608, 61.0, 80.5, 70.75]
    row = view.scores.loc["DCFT (d=8)"]
    assert row["RTE"] == 64.0
    assert row.isna().tolist() == [False, False, True, True], "a mean over a missing seed, or column, is blank"


def test_markdown_to_the_byte(cells):
    assert tables.markdown(tables.build(TABLE, cells)) == (
        "A small table & its 100% caption. (best evaluation on the dev set, in percent; seeds 6, 7; "
        "backbone MiniLM-L6, not one of the paper's; 1 of 12 cells have no record and are blank)\n"
        "\n"
        "| Method     | #Params |   RTE | STS-B |  Avg. |\n"
        "|------------|---------|-------|-------|-------|\n"
        "| LoRA (r=1) |   4,608 | 61.00 | 80.50 | 70.75 |\n"
        "| DCFT (d=8) |   7,488 | 64.00 |       |       |\n"
        "| DCFT (d=2) |  11,016 | 61.00 | 82.00 | 71.50 |\n"
    )


def test_latex_marks_best_and_second_best_and_escapes(cells):
    text = tables.latex(tables.build(TABLE, cells))
    assert r"LoRA (r=1) & 4,608 & \underline{61.00} & \underline{80.50} & \underline{70.75} \\" in text
    assert r"DCFT (d=8) & 7,488 & \textbf{64.00} &  &  \\" in text
    assert r"A small table \& its 100\% caption." in text
    assert r"\#Params" in text
    assert r"\toprule" in text


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_latex_compiles(cells, tmp_path):
    body = tables.latex(tables.build(TABLE, cells))
    document = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "t.tex").write_text(document)
    subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"], cwd=tmp_path, check=True)


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"toy": True}, "toy data, generated: no benchmark"),
        ({"data_source": {"complete": False}}, "a part of the data only: RTE, STS-B"),
        ({"collapsed": True}, "11 collapsed to one answer"),
    ],
)
def test_what_a_reader_must_know_is_said(cells, fields, note):
    for cell in cells:
        if cell.config.record_path.is_file():
            records.write(cell.config.record_path, records.read(cell.config.record_path) | fields)
    assert note in tables.build(TABLE, cells).notes


def test_failed_runs_are_blank(cells):
    failed = cells[0]
    records.write(failed.config.record_path, record_of(failed, None, status="failed"))
    view = tables.build(TABLE, cells)
    assert view.scores["RTE"].isna().tolist() == [True, False, False]


def test_special_characters_of_latex_are_text():
    assert tables.escape(r"50% & a_b {#1} $x^2$ ~\ ") == (
        r"50\% \& a\_b \{\#1\} \$x\textasciicircum{}2\$ \textasciitilde{}\textbackslash{} "
    )
