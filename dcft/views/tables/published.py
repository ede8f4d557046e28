"""The paper's Tables 1 to 10 as printed, digit for digit, from results/paper.

Marks are computed (the text that the tables were typed from has lost some): best bold in every table of results, second
best underlined in Table 1, as the captions say, and full fine-tuning excluded, as the marks show. Where what is left of
the printed marks can be compared, the two agree in all but these cells:

- Table 1, QNLI on DeBERTaV3-base: printed, 93.59 (DCFT^Δ) is underlined; the second best is PAdapter's 93.87.
- Table 1, QQP on DeBERTaV3-base: printed, nothing is underlined; the second best is 90.13 (SoRA, LoRA-FA).
- Table 4, CoLA: printed, neither 71.07 nor its time 0.54h is bold; of its #Params 0.024M is, which is not the smallest
  (sizes in Tables 4 and 5 share a column with the labels and get no marks here).
"""

from functools import cache

import pandas as pd
import yaml

from dcft.config.conf import CONF
from dcft.errors import UserError
from dcft.paper import printed
from dcft.views.tables.grid import Column, Grid, Group, Line, Part, Row, Value, mark, plain, printed_size


def _caption(name: str) -> str:
    return yaml.safe_load((CONF / "table" / f"{name}.yaml").read_text(encoding="utf-8"))["table"]["caption"]


CAPTIONS = {name: _caption(name) for name in printed.RESULTS} | {
    "table7": "Sizes and metrics of the GLUE data sets",
    "table8": "Sizes and metrics of the SQuAD data sets",
    "table9": "Training values for GLUE",
    "table10": "Training values for SQuAD",
}
HEADINGS = {  # where the file's heading is not what is printed
    "backbone": "Model",
    "label": "Method",
    "params": "#Params",
    "metric": "Metric",
    "dataset": "Task",
    "train": "#Train",
    "valid": "#Valid",
    "test": "#Test",
    "gamma": "γ",
    "Delta_T": "Δ_T",
}
NOTES = {
    "table2": ["CoLA and STS-B of Fine-Tune are blank: lost from the text that the table was typed from."],
    "table9": ["The headings are mixed up: the view compare says what each column holds."],
    "table10": [
        "AQuAD is SQuAD, so printed.",
        "The headings are mixed up: the view compare says what each column holds.",
    ],
}
MARKS = {  # by whether the second best are marked too
    second: f"Bold: best{words}, of each backbone, without full fine-tuning"
    for second, words in ((True, "; underlined: second best"), (False, ""))
}


def heading(name: str, column: str) -> str:
    """A column's heading as printed."""
    if column == "dataset" and name in ("table7", "table8"):
        return "Dataset"
    return "#Label" if (name, column) == ("table7", "label") else HEADINGS.get(column, column)


def published_grid(name: str) -> Grid:
    """A table of the paper as printed.

    Args:
        name: "table1" to "table10".

    Raises:
        UserError: if there is no such table.
    """
    if name not in CAPTIONS:
        raise UserError(f"{name} is not a table of the paper; give one of {', '.join(CAPTIONS)}")
    table = published_tables()[name]
    columns, groups = _results(name, table) if name in printed.RESULTS else _settings(name, table)
    notes = ["Figures as printed in the paper."]
    if name in printed.RESULTS:
        mark(groups, columns, "published", second=name == "table1")
        notes.append(f"{MARKS[name == 'table1']}; computed from the figures.")
    caption = f"{printed.title(name)} as printed in the paper: {CAPTIONS[name]}"
    return Grid(name, "published", caption, columns, groups, notes + NOTES.get(name, []))


def counterparts(name: str) -> dict[tuple[str, str, str, str], Value]:
    """The printed cells of one of Tables 1 to 6 with their marks, by label, model, quantity, and task or "params"."""
    grid, values = published_grid(name), {}
    for group in grid.groups:
        for row, line in group.lines:
            for column, value in zip(grid.columns, line.values, strict=True):
                if not column.stub:
                    values[row.title, row.model, line.quantity, column.key] = value
    for _, row in published_tables()[name].iterrows():
        values.setdefault((row["label"], row["model"], "score", "params"), printed_size(row["params"]))
    return values


@cache
def published_tables() -> dict[str, pd.DataFrame]:
    """The figures, read once."""
    return printed.read()


def _results(name: str, table: pd.DataFrame) -> tuple[list[Column], list[Group]]:
    """Tables 1 to 6. Tables 4 and 5 have two lines a method, with its label on the first and its size on the second."""
    timed = "metric" in table
    stubs = [stub for stub in ("backbone", "label", "metric") if stub in table]
    tasks = [column for column in table if column in printed.TASKS or column == printed.AVERAGE]
    columns = [Column(stub, [heading(name, stub)], stub=True) for stub in stubs]
    if timed:
        columns[0].titles = ["Method & #Params"]
    else:
        columns.append(Column("params", ["#Params"]))
    columns += [Column(printed.TASKS.get(task, "average"), [task]) for task in tasks]
    groups: list[Group] = []
    for _, line in table.iterrows():
        backbone = line.get("backbone", "")
        if not groups or groups[-1].title != backbone:
            groups.append(Group(backbone, []))
        rows, time = groups[-1].rows, timed and line["metric"] == "Time"
        if not time:
            rows.append(Row(line["label"], [], line["method"], line["model"]))
        first = len(rows) == 1 and not time
        words = {"backbone": backbone if first else "", "label": line["params" if time else "label"]}
        values = [plain(words.get(stub, line[stub])) for stub in stubs]
        values += [] if timed else [printed_size(line["params"])]
        values += [figures(line[task]) for task in tasks]
        rows[-1].lines.append(Line(values, "published", "time" if time else "score"))
    return columns, groups


def figures(text: str) -> Value:
    """A printed score, a pair of scores, or a time."""
    if not text:
        return Value()
    separator = " / " if " / " in text else "/"
    numbers = map(float, printed.numbers(text))
    return Value([Part(t, n) for t, n in zip(text.split(separator), numbers, strict=True)], separator)


def _settings(name: str, table: pd.DataFrame) -> tuple[list[Column], list[Group]]:
    """Tables 7 to 10."""
    figures = [column for column in printed.COLUMNS[name] if column != "dataset"]
    columns = [Column("dataset", [heading(name, "dataset")], stub=True)]
    columns += [Column(column, [heading(name, column)], stub=column == "metric") for column in figures]
    rows = []
    for _, row in table.iterrows():
        values = [plain(row[column]) if column == "metric" else printed_size(row[column]) for column in figures]
        line = Line([plain(row["dataset"]), *values], "published", task=printed.TASKS[row["dataset"]])
        rows.append(Row(row["dataset"], [line]))
    return columns, [Group("", rows)]
