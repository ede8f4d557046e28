"""Tables 7 to 10 of the suite itself."""

import pytest

from dcft.errors import UserError
from dcft.paper.printed import GLUE, TASKS
from dcft.views import tables
from tests.conftest import configure
from tests.views.tables.conftest import texts


def cells(name, view="ours", source="ours", **settings):
    """What is printed, by row and column."""
    return {row: columns for (_, row), columns in texts(tables.setup(name, view, **settings), source).items()}


def test_sizes_are_those_of_the_tasks():
    found = cells("table7")
    assert found["CoLA"] == {"train": "8,551", "valid": "1,043", "test": "", "label": "2"}
    assert found["MNLI"]["valid"] == "19,647"  # both dev sets
    assert found["STS-B"]["label"] == "1"
    assert cells("table8")["SQuAD v2.0"] == {"train": "130,319", "valid": "11,873"}


def test_printed_sizes_stand_below_ours():
    assert cells("table7", "compare", "published")["CoLA"]["train"] == "8.5k"


def test_counted_rows_stand_in_the_place_of_the_known_sizes():
    counted = dict.fromkeys(map(TASKS.get, GLUE), {})
    counted |= {
        "cola": {"train": 3, "test": 2},
        "mnli": {"dev": 1, "test": 1, "test_mismatched": 2},
    }
    shown = cells("table7", rows=counted)
    assert shown["CoLA"] == {"train": "3", "valid": "", "test": "2", "label": "2"}
    assert shown["MNLI"]["test"] == "3"
    assert shown["MNLI"]["valid"] == "", "one of its two dev sets is missing"
    grid = tables.setup("table7", "ours", counted)
    assert "counted in official files" in grid.caption
    assert any("CoLA train (3 of 8,551 rows)" in note for note in grid.notes)


@pytest.mark.parametrize(("name", "row", "task"), [("table9", "CoLA", "cola"), ("table10", "SQuAD v2.0", "squad_v2")])
def test_training_values_are_those_that_would_run(name, row, task):
    config = configure(f"task={task}", "model=deberta-v3-base", "method=dcft", "preset=table9")
    found = cells(name)[row]
    values = {
        "lr": config.train.lr,
        "batch_size": config.train.batch_size,
        "epochs": config.train.epochs,
        "orth_coef": config.method.orthogonality.coefficient,
        "warmup": config.train.warmup,
        "weight_decay": config.train.weight_decay,
        "clip": config.train.clip,
        "max_length": config.data.max_length,
        "eval_every": config.eval.every,
    }
    assert {key: float(found[key].replace(",", "")) for key in values} == values
    assert float(found["scaling"]) == pytest.approx(config.method.peft["scaling"], abs=0.005)
    assert found["cls_dropout"] == ("" if config.train.cls_dropout is None else f"{config.train.cls_dropout:g}")


def test_ours_stand_beside_the_column_that_holds_them():
    ours, printed = cells("table9", "compare"), cells("table9", "compare", "published")
    assert printed["CoLA"]["Dropout"] == ours["CoLA"]["Dropout"] == "0.5"
    titles = {column.key: column.titles for column in tables.setup("table9", "compare").columns}
    assert titles["Dropout"] == ["Dropout", "orth. coefficient"]
    assert titles["gamma"] == ["γ", "cls. dropout"]
    assert titles["Epochs"] == ["Epochs"]
    assert (
        cells("table10", "compare")["SQuAD v1.1"] | {"r": "10", "Epochs": ""}
        == cells("table10", "compare")["SQuAD v1.1"]
    )


def test_sources_are_said():
    notes = tables.setup("table9", "ours").notes
    assert any(note.startswith("Source of learning rate") and note.endswith("Table 9, row RTE.") for note in notes)
    assert any("alpha" in note and note.endswith("NLU/scripts/run_debertav3_rte.sh at 38f71d2.") for note in notes)


def test_what_there_is_not_is_refused():
    with pytest.raises(UserError, match="Table 8 has no such view; give one of ours, published, compare"):
        tables.setup("table8", "statistics")
    with pytest.raises(UserError, match="table1 is not one of table7"):
        tables.setup("table1")
