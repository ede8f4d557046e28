"""Tables 1 to 10 as printed: every figure of results/paper where the paper has it, and the paper's marks."""

import pytest

from dcft.errors import UserError
from dcft.paper import printed
from dcft.views import tables


def lines(grid):
    return [line for group in grid.groups for _, line in group.lines]


@pytest.mark.parametrize("name", tables.PUBLISHED)
def test_every_figure_is_there_digit_by_digit_in_the_order_printed(name):
    table = printed.read()[name]
    grid = tables.published_grid(name)
    columns = [column.key for column in grid.columns]
    figures = [c for c in table.columns if c in printed.TASKS or c == printed.AVERAGE]
    figures = figures or [c for c in printed.COLUMNS[name] if c != "dataset"]
    assert len(lines(grid)) == len(table)
    for line, (_, row) in zip(lines(grid), table.iterrows(), strict=True):
        shown = [value.text for value in line.values]
        assert shown[len(columns) - len(figures) :] == [row[c] for c in figures]
        if "metric" in table and "params" in table:
            assert shown[:2] == [row["params"] if row["metric"] == "Time" else row["label"], row["metric"]]
        elif "params" in table:
            assert shown[columns.index("params")] == row["params"]
            assert shown[columns.index("label")] == row["label"]


def test_headings_are_the_paper_s():
    def headings(name):
        return " ".join(column.titles[0] for column in tables.published_grid(name).columns)

    assert headings("table1") == "Model Method #Params CoLA SST-2 MRPC QQP STS-B MNLI QNLI RTE Avg."
    assert headings("table4") == "Method & #Params Metric SST-2 CoLA QNLI RTE MRPC STS-B Avg."
    assert headings("table7") == "Dataset Metric #Train #Valid #Test #Label"
    assert headings("table9") == "Task learning rate batch size r Epochs Dropout γ init_warmup Δ_T"


def marks(name, block=0):
    """Every marked figure: row, column, text and mark."""
    grid = tables.published_grid(name)
    return {
        (row.title, column.key, part.text): part.mark
        for row, line in grid.groups[block].lines
        for column, value in zip(grid.columns, line.values, strict=True)
        for part in value.parts
        if part.mark
    }


def test_table_1_is_marked_as_printed():
    first = marks("table1")
    printed = {  # what the paper's text has kept of bold and underlined
        ("HAdapter", "mnli", "90.10"): "best",
        ("SoRA", "mnli", "90.41"): "best",
        ("LoRA-FA", "mnli", "90.41"): "best",
        ("LoRA", "mnli", "90.09"): "second",
        ("LoRA", "mnli", "90.28"): "second",
        ("PAdapter", "rte", "84.48"): "second",  # after two equal bests
        ("DCFT^Δ(ours)", "sst2", "95.53"): "second",
        ("DCFT^Δ(ours)", "mrpc", "90.93"): "second",
        ("DCFT^Δ(ours)", "stsb", "91.56"): "second",
        ("DCFT^Δ(ours)", "average", "88.73"): "second",
        ("DCFT^†(ours)", "params", "0.079M"): "second",
        ("DCFT^†(ours)", "cola", "70.43"): "second",
    }
    assert printed.items() <= first.items()
    assert first["DCFT^Δ(ours)", "rte", "88.45"] == first["DCFT^†(ours)", "rte", "88.45"] == "best"
    assert not any(row == "Fine-Tune" for row, _, _ in first)
    second = marks("table1", block=1)
    assert second["HAdapter", "qqp", "91.5"] == second["DCFT^†(ours)", "qqp", "91.5"] == "second"
    assert second["DCFT^†(ours)", "params", "0.21M"] == "second"
    # the two cells where they differ, as the module says
    assert first["PAdapter", "qnli", "93.87"] == "second"
    assert ("DCFT^Δ(ours)", "qnli", "93.59") not in first
    assert first["SoRA", "qqp", "90.13"] == "second"


@pytest.mark.parametrize("name", printed.RESULTS[1:])
def test_the_other_tables_mark_only_the_best(name):
    assert set(marks(name).values()) == {"best"}


def test_times_are_the_better_the_shorter():
    found = marks("table4")
    assert found["DCFT(d = 8)", "sst2", "5.01h"] == "best"
    assert found["DCFT(d = 2)", "sst2", "96.10"] == "best"


@pytest.mark.parametrize("name", tables.PUBLISHED)
def test_they_say_what_they_are(name):
    grid = tables.published_grid(name)
    assert "as printed in the paper" in grid.caption
    assert "Figures as printed in the paper." in grid.notes
    for render in tables.FORMATS.values():
        assert "as printed in the paper" in render(grid)


def test_there_is_no_table_11():
    with pytest.raises(UserError, match="table11 is not a table of the paper; give one of table1"):
        tables.published_grid("table11")
