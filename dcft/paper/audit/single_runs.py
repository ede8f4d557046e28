"""Which scores can be one run: an accuracy on N rows is k/N, and a mean over seeds mostly is not.

Only accuracies on dev sets small enough for the printed digits to tell are looked at. The sizes are those of the
complete dev sets (conf/task). A median over an odd number of seeds is k/N as well.
"""

from decimal import Decimal
from fractions import Fraction
from functools import cache
from math import ceil, floor

import pandas as pd

from dcft.paper.audit.findings import Finding, join, row_id, row_name, verdict
from dcft.paper.audit.units import decimals, shorten
from dcft.paper.configuration import composed
from dcft.paper.printed import READING, TASKS, numbers, title

INFORMATIVE = Fraction(3, 5)  # a score says something if at most so many of all printable scores are k/N


@cache
def dev_sizes() -> dict[str, int]:
    """Rows of the dev set of every task whose score is one accuracy."""
    tasks = {name: composed(name)["task"] for name in TASKS.values()}
    return {name: task["rows"]["dev"] for name, task in tasks.items() if task["score"] == ["accuracy"]}


def on_grid(score: Decimal, rows: int) -> bool:
    """Whether some number of right answers out of `rows` is printed as this score (percent, rounded)."""
    digits, target = decimals(score), Fraction(score)
    nearest = target * rows / 100
    return any(shorten(Fraction(100 * k, rows), digits) == target for k in {floor(nearest), ceil(nearest)})


@cache
def share(rows: int, digits: int) -> Fraction:
    """The share of all printable scores from 0 to 100 that are k/N: the chance that any one score is."""
    scale = 100 * 10**digits
    hits = {(2 * scale * k + rows) // (2 * rows) for k in range(rows + 1)}  # k/N rounded half up, in units of a digit
    return Fraction(len(hits), scale + 1)


def at_least(hits: int, chances: list[float]) -> float:
    """The probability of at least so many hits in independent trials with these chances."""
    distribution = [1.0]
    for chance in chances:
        stay = [p * (1 - chance) for p in distribution] + [0.0]
        rise = [0.0] + [p * chance for p in distribution]
        distribution = [a + b for a, b in zip(stay, rise, strict=True)]
    return sum(distribution[hits:])


def testable(cells: pd.DataFrame) -> pd.DataFrame:
    """The scores that can tell, with `rows` (of the dev set), `chance` and `on_grid`."""
    sizes = dev_sizes()
    scores = cells[(cells["quantity"] == "score") & cells["task"].isin(list(sizes))].copy()
    scores["score"] = [numbers(text)[0] for text in scores["text"]]
    scores["rows"] = scores["task"].map(sizes)
    pairs = list(zip(scores["score"], scores["rows"], strict=True))
    scores["chance"] = [share(rows, decimals(score)) for score, rows in pairs]
    scores["on_grid"] = [on_grid(score, rows) for score, rows in pairs]
    return scores[[chance <= INFORMATIVE for chance in scores["chance"]]]


def check(cells: pd.DataFrame) -> tuple[list[Finding], pd.DataFrame]:
    """A finding a row and one for DCFT and for the baselines of each backbone; the rows as a table for people."""
    scores = testable(cells)
    findings, lines = [], []
    for (table, _), row in scores.groupby(["table", "line"], sort=False):
        first, hits = row.iloc[0], int(row["on_grid"].sum())
        off = row[~row["on_grid"]]
        findings.append(
            Finding(
                id=f"grid/{table}/{row_id(first)}",
                kind="grid",
                table=title(table),
                what=f"{join(list(row['heading']))} of {row_name(first)} can be one run each",
                printed=", ".join(row["text"]),
                computed=f"{hits} of {len(row)} are k/N"
                + (f"; not {', '.join(off['heading'] + ' ' + off['text'])}" if len(off) else ""),
                verdict=verdict(off.empty),
            )
        )
        lines.append(
            {
                "table": title(table),
                "row": row_name(first),
                "tasks": ", ".join(row["heading"]),
                "k/N": f"{hits} of {len(row)}",
                "expected by chance": f"{float(row['chance'].sum()):.1f}",
                "chance of at least so many": probability(row),
            }
        )
    distinct = scores.drop_duplicates([*READING, "task", "text"])
    for (model, ours), group in distinct.groupby(["model", distinct["method"] == "dcft"], sort=False):
        hits = int(group["on_grid"].sum())
        who = "DCFT" if ours else "the baselines"
        findings.append(
            Finding(
                id=f"grid/{model}/{'dcft' if ours else 'baselines'}",
                kind="grid",
                table="Tables 1 to 6",
                what=f"all {len(group)} different scores of {who} on {model} can be one run each",
                printed=join(list(dict.fromkeys(group["heading"]))),
                computed=f"{hits} of {len(group)} are k/N; {float(group['chance'].sum()):.1f} would be by chance, and "
                f"so many or more with probability {probability(group)}",
                verdict=verdict(hits == len(group)),
                headline=True,
            )
        )
    return findings, pd.DataFrame(lines)


def probability(scores: pd.DataFrame) -> str:
    """The chance of as many scores on the grid as there are, for people."""
    chance = at_least(int(scores["on_grid"].sum()), [float(c) for c in scores["chance"]])
    return f"{chance:.2f}" if chance >= 0.01 else f"{chance:.0e}"
