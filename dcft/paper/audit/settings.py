"""Tables 7 to 10 against the suite's own configuration: sizes of the data sets, and headings and values of the recipes.

The configuration holds what the official scripts set (conf/recipe/script) and the sizes of the complete data sets
(conf/task).
"""

from dataclasses import dataclass
from decimal import Decimal

import pandas as pd

from dcft.paper.audit.findings import FAILS, HOLDS, UNTOLD, Finding, verdict
from dcft.paper.audit.units import ways
from dcft.paper.configuration import composed
from dcft.paper.printed import TASKS, size, title

FIELDS = {  # printed heading -> the field of a script that it names (gamma: AdaLoRA's orthogonality coefficient)
    "learning rate": "lr",
    "batch size": "batch_size",
    "r": "init_rank",
    "Epochs": "epochs",
    "Dropout": "cls_dropout",
    "gamma": "orth_coef",
    "init_warmup": "tinit",
    "Delta_T": "delta_t",
    "t_f": "tfinal",
}
SPLITS = {"train": ["train"], "valid": ["dev", "dev_mismatched"]}


def scripts(tasks: list[str]) -> pd.DataFrame:
    """What the official scripts set, a row a task; a value that was itself taken from the paper's tables is missing."""
    rows = {task: _script(task) for task in tasks}
    return pd.DataFrame.from_dict(rows, orient="index", dtype=object).reindex(columns=list(FIELDS.values()))


def _script(task: str) -> dict[str, Decimal]:
    found = {field: composed(task, "script")["recipe"].find(field) for field in FIELDS.values()}
    return {
        field: Decimal(str(known.value))
        for field, known in found.items()
        if known and known.value is not None and not known.source.startswith("Table")
    }


@dataclass(frozen=True)
class Reading:
    """Which field of the official scripts a column of Tables 9 and 10 holds."""

    named: str  # the field that the heading names
    field: str | None  # the field that the column equals in most rows; None: no field
    repeats: bool  # whether the column repeats the first rows of the same column in the table before
    equal: dict[str, int]  # by field: rows in which column and scripts are equal
    known: dict[str, int]  # by field: rows for which the scripts set it

    @property
    def held(self) -> str | None:
        """The field to show under the column: the named one if no field can be told, None for a repeated column."""
        return self.field or (None if self.repeats else self.named)


def readings(tables: dict[str, pd.DataFrame]) -> dict[str, dict[str, Reading]]:
    """A reading for every heading of Tables 9 and 10."""
    read, before = {}, {}
    for name in ("table9", "table10"):
        printed = _settings(tables[name])
        ours = scripts(list(printed.index))
        read[name] = {heading: _read(printed[heading], ours, before.get(heading, [])) for heading in printed}
        before = {heading: list(printed[heading]) for heading in printed}
    return read


def _read(column: pd.Series, ours: pd.DataFrame, before: list[Decimal]) -> Reading:
    """The reading of one column.

    Args:
        column: its numbers, a row a task.
        ours: what the scripts set, a row a task.
        before: the column of the same heading in the table before.
    """
    named = FIELDS[column.name]
    equal = {field: int((column == ours[field]).sum()) for field in ours}
    known = {field: int(ours[field].notna().sum()) for field in ours}
    best = max(equal, key=lambda field: (equal[field], field == named))
    return Reading(
        named,
        best if 2 * equal[best] > known[best] else None,
        before[: len(column)] == list(column),
        equal,
        known,
    )


def check(tables: dict[str, pd.DataFrame]) -> list[Finding]:
    """Headings and values of Tables 9 and 10, then the sizes in Tables 7 and 8."""
    findings = []
    for name, columns in readings(tables).items():
        findings += [_heading(name, heading, tables[name][heading], column) for heading, column in columns.items()]
        findings += _values(name, tables[name], {heading: column.field for heading, column in columns.items()})
    return findings + sizes(tables)


def _settings(table: pd.DataFrame) -> pd.DataFrame:
    """A table of settings as numbers, a row a task."""
    printed = table.set_index(table["dataset"].map(TASKS))[[name for name in FIELDS if name in table]]
    return printed.map(lambda text: size(text)[0])


def _heading(name: str, heading: str, texts: pd.Series, column: Reading) -> Finding:
    """Whether a column holds what its heading says."""
    named, field = column.named, column.field
    words = [f"equals the scripts' {named} in {column.equal[named]} of {column.known[named]} rows"]
    if field and field != named:
        words.append(f"their {field} in {column.equal[field]} of {column.known[field]}")
    if column.repeats and field is None:
        words.append(f"repeats the first {len(texts)} rows of this column in the table before")
    return Finding(
        id=f"heading/{name}/{heading}",
        kind="heading",
        table=title(name),
        what=f"the column {heading} holds {named}",
        printed=", ".join(texts),
        computed=", ".join(words),
        verdict=HOLDS if field == named else FAILS if field or column.repeats else UNTOLD,
    )


def _values(name: str, table: pd.DataFrame, fields: dict[str, str | None]) -> list[Finding]:
    """Every printed value against the script's, with each column under the field that it holds."""
    findings = []
    for _, texts in table.iterrows():
        task = TASKS[texts["dataset"]]
        script = _script(task)
        for heading, field in fields.items():
            if field not in script:
                continue
            findings.append(
                Finding(
                    id=f"setting/{name}/{task}/{field}",
                    kind="setting",
                    table=title(name),
                    what=f"{field} of {texts['dataset']} (column {heading}) is the script's",
                    printed=texts[heading],
                    computed=f"script: {script[field]}",
                    verdict=verdict(size(texts[heading])[0] == script[field]),
                )
            )
    return findings


def sizes(tables: dict[str, pd.DataFrame]) -> list[Finding]:
    """The training and dev sets' sizes in Tables 7 and 8 against the complete data sets."""
    findings = []
    for name in ("table7", "table8"):
        for _, row in tables[name].iterrows():
            task = TASKS[row["dataset"]]
            rows = composed(task)["task"]["rows"]
            for column, splits in SPLITS.items():
                count = sum(rows.get(split, 0) for split in splits)
                findings.append(
                    Finding(
                        id=f"size/{name}/{task}/{column}",
                        kind="size",
                        table=title(name),
                        what=f"#{column} of {row['dataset']}",
                        printed=row[column],
                        computed=f"{count:,}",
                        verdict=verdict(bool(ways(count, row[column]))),
                    )
                )
    return findings
