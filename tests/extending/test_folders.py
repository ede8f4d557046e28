"""Folders beside conf/: which files count, when a plan is made anew, and what is refused in one line."""

import pytest

from dcft.config.build import build
from dcft.config.compose import Composer
from dcft.errors import UserError
from dcft.sweep import plan, request

TABLE = "# @package _global_\ndefaults: [base/sweep]\ntable:\n  caption: c\n  columns: [{task}]\n  rows: [{row}]\n"


@pytest.fixture
def folder(tmp_path):
    """A folder with a table of its own; the name needs quotes."""
    folder = tmp_path / "it's mine, too"
    write(folder / "table" / "own.yaml", TABLE.format(task="toy_cls", row="{model: tiny-bert, method: lora}"))
    return folder


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def asked(folder, *arguments):
    return request.read(["table=own", f"results.dir={folder.parent}/results", *arguments], [folder])


def test_a_cell_s_command_names_the_folder_and_its_name_does_not(folder):
    (cell,) = plan.plan(asked(folder)).cells
    config = build(Composer()(cell.overrides))
    assert config.cell == cell.name
    elsewhere = [line for line in cell.overrides if "searchpath" not in line]
    assert build(Composer()(elsewhere)).cell == cell.name
    assert "hydra.searchpath" in cell.command


def test_a_plan_is_made_anew_when_a_file_of_the_folder_changes(folder):
    plan.load_plan(asked(folder))
    known = plan._digest(asked(folder))
    write(folder / "notes" / "other.yaml", "a: 1")
    assert plan._digest(asked(folder)) == known, "no file of the suite's"
    write(folder / "method" / "own.yaml", "a: 1")
    assert plan._digest(asked(folder)) != known


def test_a_file_of_conf_goes_before_one_of_the_same_name(folder):
    write(folder / "table" / "demo.yaml", TABLE.format(task="toy_cls", row="{model: tiny-bert, method: lora}"))
    assert len(request.read(["table=demo"], [folder]).table["rows"]) == 3


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("{model: tiny-bert}", "row 1 has no method; give method: in the row or in table.base"),
        ("{method: lora}", "row 1 has no model; give model: in the row or in table.base"),
        ("", "a table needs caption, columns and rows; table.rows is missing"),
    ],
)
def test_an_incomplete_table_is_one_line(folder, row, line):
    write(folder / "table" / "own.yaml", TABLE.format(task="toy_cls", row=row))
    with pytest.raises(UserError, match=f"own.yaml: {line}"):
        asked(folder)


def test_a_missing_folder_is_one_line(folder):
    with pytest.raises(UserError, match="nowhere does not exist; give the folder that holds"):
        request.read(["table=demo"], [folder / "nowhere"])


def test_a_row_of_values_without_sources_says_so(folder):
    write(
        folder / "task" / "own.yaml",
        "defaults: [cola@_here_, _self_]\nname: own\nfiles: {train: own/train.tsv, dev: own/dev.tsv}\n",
    )
    write(folder / "recipe" / "script" / "own.yaml", "defaults: [cola@cola, _self_]\nlr: 1e-3\n")
    search_path = asked(folder).search_path
    sources = build(Composer()(["task=own", *search_path])).recipe_source
    assert sources["train.lr"] == "not stated"
    script = "Godz-z/DCFT NLU/scripts/run_debertav3_cola.sh at 38f71d2"
    assert sources["train.batch_size"] == f"inferred: {script} for other tasks"
