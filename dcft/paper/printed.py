"""The paper's printed figures, read from results/paper: nothing here knows a number of the paper.

Every figure stays the text that was printed, digit for digit; `numbers` and `value` turn it into numbers where needed.
"""

import csv
import re
from decimal import Decimal
from pathlib import Path

import pandas as pd

from dcft.config import conf
from dcft.config.schema import KNOBS, TARGETS
from dcft.errors import UserError
from dcft.paper.counts import SHAPES

PAPER = conf.RESULTS / "paper"
METHODS = {  # the suite's names and the paper's
    "full": "Fine-Tune",
    "bitfit": "BitFit",
    "hadapter": "HAdapter",
    "padapter": "PAdapter",
    "lora": "LoRA",
    "lora_fa": "LoRA-FA",
    "adalora": "AdaLoRA",
    "sora": "SoRA",
    "dcft": "DCFT",
}
NUMBERS = [knob for knob in KNOBS if knob != "targets"]  # whole numbers; blank where a method has no such knob
READING = ["model", "method", *KNOBS]  # ours: how we read a printed row
GLUE = ["CoLA", "SST-2", "MRPC", "QQP", "STS-B", "MNLI", "QNLI", "RTE"]
SQUAD = ["SQuADv1.1", "SQuADv2.0"]
TASKS = {  # printed name -> name of the task in conf/task
    "CoLA": "cola",
    "SST-2": "sst2",
    "MRPC": "mrpc",
    "QQP": "qqp",
    "STS-B": "stsb",
    "MNLI": "mnli",
    "QNLI": "qnli",
    "RTE": "rte",
    "SQuADv1.1": "squad_v1",
    "SQuADv2.0": "squad_v2",
    "SQuAD v1.1": "squad_v1",
    "SQuAD v2.0": "squad_v2",
    "AQuAD v1.1": "squad_v1",  # so printed in Table 10
    "AQuAD v2.0": "squad_v2",
}
AVERAGE = "Avg."
COLUMNS = {
    "table1": ["backbone", "label", "params", *GLUE, AVERAGE, *READING],
    "table2": ["label", "params", "CoLA", "SST-2", "STS-B", "QNLI", *READING],
    "table3": ["backbone", "label", "params", *SQUAD, *READING],
    "table4": ["label", "params", "metric", "SST-2", "CoLA", "QNLI", "RTE", "MRPC", "STS-B", AVERAGE, *READING],
    "table5": ["label", "params", "metric", "CoLA", "MRPC", "STS-B", "RTE", *READING],
    "table6": ["label", "params", "CoLA", "MRPC", "STS-B", "RTE", *READING],
    "table7": ["dataset", "metric", "train", "valid", "test", "label"],
    "table8": ["dataset", "metric", "train", "valid"],
    "table9": "dataset|learning rate|batch size|r|Epochs|Dropout|gamma|init_warmup|Delta_T".split("|"),
    "table10": "dataset|learning rate|batch size|r|Epochs|gamma|init_warmup|Delta_T|t_f".split("|"),
    "claims": ["claim", "section", "quote", "value"],
    "other_papers": ["paper", "place", "model", "method", "label", "params", *GLUE, *SQUAD],
}
# Columns with one number each: sizes and settings.
SETTINGS = {"params", "value", "train", "valid", "test", *COLUMNS["table9"][1:], *COLUMNS["table10"][1:]}
RESULTS = ["table1", "table2", "table3", "table4", "table5", "table6"]
POWERS = {"": 0, "%": 0, "k": 1, "K": 1, "M": 2, "B": 3}  # unit of a printed size -> power of a thousand
_NUMBER = r"\d+(?:\.\d+)?"
_FIGURE = re.compile(rf"({_NUMBER})(?: ?/ ?({_NUMBER}))?h?")
_SIZE = re.compile(r"(\d[\d,]*(?:\.\d+)?(?:e-?\d+)?)([kKMB%]?)")


def title(table: str) -> str:
    """A table's name as printed: "Table 10" for "table10"."""
    return table.replace("table", "Table ")


def numbers(text: str) -> tuple[Decimal, ...]:
    """The one or two numbers of a printed figure: "90.13", "89.98/89.95", "86.0 / 92.7", "9.57h".

    Raises:
        ValueError: if the text is no such figure.
    """
    match = _FIGURE.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a printed figure such as 90.13, 89.98/89.95 or 9.57h")
    return tuple(Decimal(part) for part in match.groups() if part)


def size(text: str) -> tuple[Decimal, str]:
    """Number and unit of a printed size or setting: "0.079M", "24k", "0.08%", "1,043", "5e-4".

    Raises:
        ValueError: if the text is no such thing.
    """
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a printed number such as 0.079M, 24k, 0.08%, 1,043 or 5e-4")
    return Decimal(match[1].replace(",", "")), match[2]


def amount(text: str) -> float:
    """A printed size as one number, with k, M and B as 10^3, 10^6 and 10^9: "0.079M" is 79,000.

    Raises:
        ValueError: if the text is no printed size.
    """
    number, unit = size(text)
    return float(number * 1000 ** POWERS[unit])


def value(task: str, text: str) -> Decimal:
    """One number for a printed figure, as a record's score: F1 for SQuAD, the mean of a pair otherwise (MNLI)."""
    figures = numbers(text)
    return figures[-1] if task.startswith("squad") else sum(figures) / len(figures)


def read(folder: Path = PAPER) -> dict[str, pd.DataFrame]:
    """All tables as text, by name ("table1" ... "table10", "claims", "other_papers").

    Each has a column `line`, the line in its file, besides those of `COLUMNS`; a blank is an empty string.

    Raises:
        UserError: if a file is missing or not as expected; names the file, the line and what is wrong.
    """
    return {name: _read(Path(folder) / f"{name}.csv", columns) for name, columns in COLUMNS.items()}


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, fields) for fields in reader]
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give the folder of the published tables") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a CSV file in UTF-8: {error}") from error
    if not lines or lines[0][1] != columns:
        raise UserError(f"{path}:1: the heading must be {','.join(columns)}")
    for number, fields in lines[1:]:
        if len(fields) != len(columns):
            raise UserError(f"{path}:{number}: {len(fields)} fields where the heading has {len(columns)}")
        _check_row(path, number, dict(zip(columns, fields, strict=True)))
    table = pd.DataFrame([fields for _, fields in lines[1:]], columns=columns, dtype=str)
    if "dataset" in table and not table["dataset"].is_unique:
        raise UserError(f"{path}: a data set has two rows; give one each")
    return table.assign(line=[number for number, _ in lines[1:]])


def _check_row(path: Path, line: int, row: dict[str, str]) -> None:
    """Every figure and every word of ours must be readable, so that nothing later can fail on a typo."""
    allowed = {"dataset": TASKS, "model": SHAPES, "method": METHODS, "targets": [*TARGETS, ""]}
    if "model" in row:
        allowed["metric"] = ["Acc", "Time"]  # of Tables 4 and 5
    for column, text in row.items():
        where = f"{path}:{line}: {column}"
        try:
            if column in (*GLUE, *SQUAD, AVERAGE):
                figure = numbers(text or "0")
                if len(figure) == 1 and column in SQUAD and text:
                    raise ValueError(f"{text!r} is not a pair of exact match and F1")
                if max(figure) > 100 and not text.endswith("h"):
                    raise ValueError(f"{text!r} is more than 100 %")
            elif column in SETTINGS:
                size(text or "0")
        except ValueError as error:
            raise UserError(f"{where}: {error}") from error
        if column in NUMBERS and text and not text.isdecimal():
            raise UserError(f"{where}={text}: give a whole number or nothing")
        if column in allowed and text not in allowed[column]:
            raise UserError(f"{where}={text}: give one of {', '.join(filter(None, allowed[column]))}")
    if "targets" in row:
        needed = ["kernel", "stride", "targets"] if row["method"] == "dcft" else ["rank", "targets"]
        given = [name for name in needed if row[name]]
        if given != needed and (given or row["method"] == "dcft"):
            raise UserError(f"{path}:{line}: method={row['method']}: give {' and '.join(needed)} together")


def cells(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables 1 to 6 cell by cell, in the order printed: what a later step puts beside its own results.

    Columns: `table`, `line` (of the file), `label` and `params` (as printed), our reading of the row (`model`,
    `method`, `kernel`, `stride`, `targets`, `rank`, `bottleneck`; missing where there is none), `quantity` ("score" or
    "time"), `heading`, `task` ("average" for the column Avg.), `text` (as printed) and `value` (one number, see the
    function; percent, or hours for times). Blank cells are left out.
    """
    parts = []
    for name in RESULTS:
        table = tables[name]
        printed = [column for column in table.columns if column in TASKS or column == AVERAGE]
        kept = ["line", "label", "params", *READING]
        quantity = table["metric"].str.lower().replace("acc", "score") if "metric" in table else "score"
        long = table.assign(quantity=quantity).melt(
            [*kept, "quantity"], printed, var_name="heading", value_name="text", ignore_index=False
        )
        parts.append(long.sort_index(kind="stable").assign(table=name))
    frame = pd.concat(parts, ignore_index=True)
    frame = frame[frame["text"] != ""].reset_index(drop=True)
    frame["task"] = frame["heading"].map(TASKS | {AVERAGE: "average"})
    frame["value"] = [float(value(task, text)) for task, text in zip(frame["task"], frame["text"], strict=True)]
    for knob in NUMBERS:
        frame[knob] = pd.to_numeric(frame[knob].replace("", None)).astype("Int64")
    frame["targets"] = frame["targets"].replace("", None)
    return frame["table line label params".split() + READING + "quantity heading task text value".split()]
