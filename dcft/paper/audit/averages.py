"""The printed scores and times against each other: averages, equal rows, and cells printed in several tables."""

from decimal import Decimal
from fractions import Fraction

import pandas as pd

from dcft.paper.audit.findings import Finding, join, row_id, row_name, verdict
from dcft.paper.audit.units import decimals, shorten
from dcft.paper.printed import READING, numbers, title, value


def mean(texts: dict[str, str]) -> Fraction:
    """The mean over tasks; MNLI enters as the mean of its two scores. `texts`: printed figure by task."""
    return sum(Fraction(value(task, text)) for task, text in texts.items()) / len(texts)


def tolerance(texts: dict[str, str], average: str) -> Fraction:
    """How far a correct average can lie from `mean`: half a unit of the last digit, its own and the mean entry's."""
    halves = [Fraction(1, 2 * 10 ** decimals(numbers(text)[0])) for text in (*texts.values(), average)]
    return sum(halves[:-1]) / len(texts) + halves[-1]


def by_task(row: pd.DataFrame) -> dict[str, str]:
    """Printed figure by task, without the average."""
    scores = row[row["task"] != "average"]
    return dict(zip(scores["task"], scores["text"], strict=True))


def averages(cells: pd.DataFrame) -> list[Finding]:
    """Every printed average, recomputed from the figures beside it."""
    findings = []
    for (table, _), row in cells.groupby(["table", "line"], sort=False):
        printed = row.loc[row["task"] == "average", "text"]
        if printed.empty:
            continue
        text, texts, first = printed.iloc[0], by_task(row), row.iloc[0]
        ours = mean(texts)
        digits = decimals(numbers(text)[0])
        findings.append(
            Finding(
                id=f"average/{table}/{row_id(first)}/{first['quantity']}",
                kind="average",
                table=title(table),
                what=f"mean {first['quantity']} of {row_name(first)}",
                printed=text,
                computed=f"{float(shorten(ours, digits)):.{digits}f}" + ("h" if text.endswith("h") else ""),
                verdict=verdict(abs(ours - Fraction(numbers(text)[0])) <= tolerance(texts, text)),
            )
        )
    return findings


def equal_rows(cells: pd.DataFrame) -> list[Finding]:
    """Rows of one table and backbone that belong to different methods and agree in every digit."""
    findings = []
    for (table, model), part in cells[cells["quantity"] == "score"].groupby(["table", "model"], sort=False):
        if part["method"].nunique() == 1:
            continue
        rows = [row for _, row in part.groupby("line", sort=False)]
        twins = [
            (row.iloc[0], other.iloc[0], len(by_task(row)))
            for index, row in enumerate(rows)
            for other in rows[index + 1 :]
            if by_task(row) == by_task(other) and row.iloc[0]["method"] != other.iloc[0]["method"]
        ]
        findings += [
            Finding(
                id=f"equal-rows/{table}/{row_id(row)}/{row_id(other)}",
                kind="equal rows",
                table=title(table),
                what=f"{row_name(row)} and {row_name(other)} are two methods with results of their own",
                printed=f"{tasks} scores each",
                computed="equal in every digit",
                verdict=verdict(False),
            )
            for row, other, tasks in twins
        ]
        if not twins:
            findings.append(
                Finding(
                    id=f"equal-rows/{table}/{model}",
                    kind="equal rows",
                    table=title(table),
                    what=f"different methods on {model} have different rows",
                    printed=f"{len(rows)} rows",
                    computed="no two rows are equal",
                    verdict=verdict(True),
                )
            )
    return findings


def clashes(cells: pd.DataFrame) -> list[Finding]:
    """Cells that several tables print: the same backbone, method, knobs, task and quantity."""
    findings = []
    same = cells[cells["task"] != "average"].groupby([*READING, "task", "quantity"], sort=False, dropna=False)
    for _, group in same:
        if len(group) < 2:
            continue
        first = group.iloc[0]
        tables = [title(table) for table in group["table"]]
        by_figure = {text: [] for text in group["text"]}
        for text, table in zip(group["text"], tables, strict=True):
            by_figure[text].append(table)
        printed = ", ".join(f"{text} ({join(where)})" for text, where in by_figure.items())
        values = {tuple(numbers(text)) for text in by_figure}
        findings.append(
            Finding(
                id=f"clash/{row_id(first)}/{first['task']}/{first['quantity']}",
                kind="clash",
                table=join(tables),
                what=f"{first['heading']} {first['quantity']} of {row_name(first)} is the same everywhere",
                printed=printed,
                computed="equal" if len(values) == 1 else f"differs by {_spread(values)}",
                verdict=verdict(len(values) == 1),
            )
        )
    return findings


def _spread(values: set[tuple[Decimal, ...]]) -> Decimal:
    return max(max(column) - min(column) for column in zip(*values, strict=True))
