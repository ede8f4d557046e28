"""The committed results page, tables and figures are those of the committed records."""

import json

import numpy as np
import pytest
import yaml

from dcft.config.build import build
from dcft.paper import printed
from dcft.results import sweeps
from dcft.sweep.definition import BY_TASK
from dcft.views import claims, figures, tables
from dcft.views.claims import steps
from dcft.views.claims.questions import QUESTIONS, SUBSTITUTE, TABLES
from tests.conftest import ROOT, composer

SHORT = sorted(path.stem for path in (ROOT / "results" / "sweeps").glob("minilm*.json"))


def test_step_times_are_ratios_of_the_same_round():
    path = ROOT / "results" / "bench" / "step-deberta-v3-base-l4-b8x128-cpu-fp32.json"
    [part] = [part for part in json.loads(path.read_text())["parts"] if part["name"] == "step"]
    ms = {row["name"]: np.array(row["ms"]) for row in part["rows"]}
    low, middle, high = np.percentile(ms["dcft-d8-s1"] / ms["dcft-d8"], [25, 50, 75])
    found = [line for line in steps.ratios(ROOT / "results") if line[3] == "DCFT d=8 s=1 / DCFT d=8"]
    assert found[0][4:] == [f"{middle:.2f}", f"{low:.2f} to {high:.2f}", "5"]
    text = steps.text(printed.cells(printed.read()))
    assert text.endswith("Table 5 prints 1.2 to 3.7 times the training time."), "1.22 h / 0.98 h and 1.99 h / 0.54 h"


def test_the_committed_page_is_that_of_the_records():
    found, kept = claims.find(ROOT / "results"), ROOT / "results" / "figures" / f"claims.{SUBSTITUTE}.png"
    [picture] = claims.pictures(found)
    assert claims.page(found) == (ROOT / "docs" / "results.md").read_text(), "run make results"
    assert picture.render("png") == kept.read_bytes(), "run make results"


def test_every_line_of_a_table_has_its_heading_s_cells():
    for block in (ROOT / "docs" / "results.md").read_text().split("\n\n"):
        if block.startswith("| "):
            assert len({len(line.replace("\\|", "").split("|")) for line in block.splitlines()}) == 1, block


@pytest.mark.parametrize("name", SHORT)
def test_committed_tables_and_figures_are_those_of_the_records(name):
    results = ROOT / "results"
    sweep = sweeps.read(sweeps.path_of(name, results))
    grids = [tables.build(sweep, results, view) for view in tables.views(sweep, results)]
    texts = {f"tables/{one.label}.{suffix}": render(one) for one in grids for suffix, render in tables.FORMATS.items()}
    made = {name: text.encode() for name, text in texts.items()}
    for picture in figures.of_sweep(sweep, results, figures.paper_cells()):
        made |= {f"figures/{picture.name}.{kind}": picture.render(kind) for kind in figures.FORMATS}
    kept = {name: path.read_bytes() for name in made if (path := results / name).is_file()}
    assert len(kept) > len(tables.FORMATS), "no table: run make tables"  # those of times are left out
    assert kept == {name: made[name] for name in kept}, "run make tables and make figures"


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.title)
def test_the_rows_of_a_question_are_in_its_tables(question):
    """A row that a table calls otherwise would never be compared."""
    if question.quantity == "step time":
        assert {question.ours, *question.theirs} <= set(steps.ROWS)
        return
    for name in TABLES[question.topic]:
        table = yaml.safe_load((ROOT / "conf" / "table" / f"{name}.yaml").read_text())["table"]
        titles = set()
        for one in table["rows"]:
            settings = {k: v for k, v in (table.get("base", {}) | one).items() if k not in ("paper", "title", BY_TASK)}
            if settings.get("model", "deberta-v3-base") != "roberta-large":
                words = [f"{key}={value}" for key, value in settings.items()]
                titles.add(one.get("title") or build(composer()(["task=rte", *words])).method.title)
        missing = {question.ours, *question.theirs} - titles
        assert not missing or name == "table1", (name, missing)
