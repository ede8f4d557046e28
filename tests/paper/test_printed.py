"""The published figures: read completely, digit for digit, and refused in one line if a file is not as it must be."""

from decimal import Decimal

import pandas as pd
import pytest

from dcft.errors import UserError
from dcft.paper import printed
from tests.conftest import configure, replace_once


@pytest.fixture(scope="module")
def tables():
    return printed.read()


@pytest.fixture(scope="module")
def cells(tables):
    return printed.cells(tables)


def test_every_table_has_the_paper_s_rows(tables):
    rows = {name: len(table) for name, table in tables.items() if name.startswith("table")}
    assert rows == dict(zip([f"table{n}" for n in range(1, 11)], [16, 3, 5, 11, 8, 5, 8, 2, 8, 2], strict=True))


def test_cells_are_all_the_figures_printed(cells):
    # 16 x 9, 3 x 4 less two that are lost, 5 x 2, 11 x 7, 8 x 4, 5 x 4
    assert len(cells) == 144 + 10 + 10 + 77 + 32 + 20
    assert cells["value"].notna().all()
    assert (cells["quantity"] == "time").sum() == 5 * 7 + 4 * 4


def cell(cells, table, task, quantity="score", **reading):
    chosen = cells[(cells["table"] == table) & (cells["task"] == task) & (cells["quantity"] == quantity)]
    for name, value in reading.items():
        chosen = chosen[chosen[name] == value]
    assert len(chosen) == 1
    return chosen.iloc[0]


@pytest.mark.parametrize(
    ("table", "task", "reading", "text", "value"),
    [
        ("table1", "rte", {"model": "deberta-v3-base", "method": "dcft", "kernel": 8}, "88.45", 88.45),
        ("table1", "mnli", {"model": "deberta-v3-base", "method": "dcft", "kernel": 8}, "89.40/89.63", 89.515),
        ("table1", "average", {"model": "roberta-large", "method": "dcft", "kernel": 2}, "89.31", 89.31),
        ("table2", "qnli", {"method": "full"}, "96.0", 96.0),
        ("table3", "squad_v2", {"method": "dcft"}, "84.7 / 87.7", 87.7),  # a record's score is F1
        ("table4", "stsb", {"kernel": 4, "quantity": "time"}, "0.79h", 0.79),
        ("table4", "stsb", {"kernel": 4}, "91.80", 91.8),
        ("table5", "cola", {"stride": 1, "quantity": "time"}, "1.99h", 1.99),
        ("table6", "cola", {"targets": "all"}, "71.06", 71.06),
    ],
)
def test_figures_by_reading(cells, table, task, reading, text, value):
    found = cell(cells, table, task, **reading)
    assert found["text"] == text
    assert found["value"] == value


def test_a_blank_is_left_out_and_never_a_number(cells):
    xxl = cells[(cells["table"] == "table2") & (cells["method"] == "full")]
    assert list(xxl["heading"]) == ["SST-2", "QNLI"]


def test_the_readings_are_settings_of_the_suite(cells):
    rows = cells[cells["method"].isin(["dcft", "lora"])].drop_duplicates(printed.READING)
    for _, row in rows.iterrows():
        knobs = [f"{knob}={row[knob]}" for knob in ("kernel", "stride", "rank") if row[knob] is not pd.NA]
        config = configure(f"model={row['model']}", f"method={row['method']}", f"targets={row['targets']}", *knobs)
        assert config.method.name == row["method"]


@pytest.mark.parametrize(
    ("text", "figures"),
    [("90.13", ["90.13"]), ("89.98/89.95", ["89.98", "89.95"]), ("86.0 / 92.7", ["86.0", "92.7"]), ("9.57h", ["9.57"])],
)
def test_numbers(text, figures):
    assert printed.numbers(text) == tuple(map(Decimal, figures))


@pytest.mark.parametrize(
    ("text", "number", "unit"),
    [
        ("0.079M", "0.079", "M"),
        ("165.5K", "165.5", "K"),
        ("0.08%", "0.08", "%"),
        ("1,043", "1043", ""),
        ("5e-4", "5e-4", ""),
    ],
)
def test_size(text, number, unit):
    assert printed.size(text) == (Decimal(number), unit)


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("table1.csv", "69.21,95.64", "69.21,95,64", r"table1\.csv:2: 20 fields where the heading has 19"),
        ("table1.csv", "69.21", "69..21", r"table1\.csv:2: CoLA: '69\.\.21' is not a printed figure"),
        ("table1.csv", "RTE,Avg.", "RTE,Mean", r"table1\.csv:1: the heading must be backbone,label,"),
        ("table1.csv", "0.024M", "0.024 MB", r"table1\.csv:9: params: '0\.024 MB' is not a printed number"),
        ("table1.csv", "dcft,8,8", "dcft,eight,8", r"table1\.csv:9: kernel=eight: give a whole number or nothing"),
        (
            "table1.csv",
            "dcft,8,8,all",
            "dcft,8,,all",
            r"table1\.csv:9: method=dcft: give kernel and stride and targets",
        ),
        ("table1.csv", "base,sora", "base,sorra", r"table1\.csv:7: method=sorra: give one of full, bitfit"),
        (
            "table2.csv",
            "deberta-v2-xxlarge,full",
            "deberta,full",
            r"table2\.csv:2: model=deberta: give one of deberta-v3",
        ),
        ("table1.csv", "69.21", "692.1", r"table1\.csv:2: CoLA: '692\.1' is more than 100 %"),
        ("table3.csv", "87.3 / 93.4", "93.4", r"table3\.csv:6: SQuADv1\.1: '93\.4' is not a pair"),
        ("table4.csv", "0.079M,Time", "0.079M,Tme", r"table4\.csv:4: metric=Tme: give one of Acc, Time"),
        ("table6.csv", "8,8,qk,", "8,8,k,", r"table6\.csv:2: targets=k: give one of qk, qv"),
        ("table9.csv", "CoLA,5e-4", "CoLA,fast", r"table9\.csv:2: learning rate: 'fast' is not a printed number"),
        ("table9.csv", "SST-2", "CoLA", r"table9\.csv: a data set has two rows"),
        ("table10.csv", "AQuAD v1.1", "AQuAD v1", r"table10\.csv:2: dataset=AQuAD v1: give one of CoLA"),
        ("other_papers.csv", "92.40/89.80", "92.40/", r"other_papers\.csv:7: QQP: '92\.40/' is not"),
    ],
)
def test_a_malformed_file_is_one_line(copy, file, old, new, line):
    replace_once(copy / file, old, new)
    with pytest.raises(UserError, match=line) as error:
        printed.read(copy)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [None, "", '"open', b"\xff\xfe"])
def test_a_missing_empty_or_foreign_file_is_one_line(copy, content):
    path = copy / "table3.csv"
    path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=r"table3\.csv") as error:
        printed.read(copy)
    assert "\n" not in str(error.value)
