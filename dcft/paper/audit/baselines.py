"""The baselines' rows against the papers that they were taken from (results/paper/other_papers.csv)."""

from dataclasses import dataclass
from fractions import Fraction

import pandas as pd

from dcft.paper.audit.averages import by_task, mean
from dcft.paper.audit.findings import Finding, join, row_id, row_name, verdict
from dcft.paper.audit.units import decimals, shorten
from dcft.paper.printed import METHODS, TASKS, numbers, size, title, value

HEADINGS = {task: heading for heading, task in reversed(TASKS.items())}


def same(task: str, printed: str, source: str) -> bool:
    """Whether a printed figure is the source's, or the mean of the source's pair (QQP's accuracy and F1)."""
    ours, theirs = numbers(printed), numbers(source)
    if len(ours) == len(theirs):
        return ours == theirs
    digits = decimals(ours[0])
    return len(ours) == 1 and shorten(Fraction(sum(theirs)) / len(theirs), digits) == Fraction(ours[0])


def same_size(text: str, other: str) -> bool:
    """Whether two printed sizes are the same number: "0.3M" and "0.30M"."""
    return size(text) == size(other)


@dataclass(frozen=True, eq=False)  # compared by identity
class Match:
    """A row of another paper beside a printed row."""

    source: pd.Series
    theirs: dict[str, str]  # its figure by task, where both have one
    equal: list[str]  # the tasks in which both say the same

    @property
    def name(self) -> str:
        """The row in words."""
        source = self.source
        return f"{source['paper']}, {source['place']}, {source['label']} {source['params']}"


def match(texts: dict[str, str], source: pd.Series) -> Match:
    """A source's row beside the printed figures of a row (by task)."""
    theirs = {task: source[HEADINGS[task]] for task in texts if source[HEADINGS[task]]}
    return Match(source, theirs, [task for task, text in theirs.items() if same(task, texts[task], text)])


def check(cells: pd.DataFrame, others: pd.DataFrame) -> list[Finding]:
    """A finding for every printed row that has a source, and one for every row that the paper leaves out."""
    findings = []
    scores = cells[cells["quantity"] == "score"]
    for (table, _), row in scores.groupby(["table", "line"], sort=False):
        first, texts = row.iloc[0], by_task(row)
        sources = others[(others["model"] == first["model"]) & (others["method"] == first["method"])]
        matches = [m for m in (match(texts, source) for _, source in sources.iterrows()) if m.theirs or _unit(m, first)]
        if not matches:
            continue
        computed, good = _compare(row, texts, matches)
        findings.append(
            Finding(
                id=f"source/{table}/{row_id(first)}",
                kind="source",
                table=title(table),
                what=f"{row_name(first)} is a row of its source",
                printed=", ".join(f"{heading} {text}" for heading, text in _figures(first, texts).items()),
                computed=computed,
                verdict=verdict(good),
            )
        )
    return findings + _left_out(scores, others)


def _figures(row: pd.Series, texts: dict[str, str]) -> dict[str, str]:
    """The printed figures of a row by heading, its size among them."""
    size_of = {"#Params": row["params"]} if row["params"] else {}
    return size_of | {HEADINGS[task]: text for task, text in texts.items()}


def _unit(m: Match, row: pd.Series) -> bool:
    """Whether a source gives its row's size in the unit of the printed row, so that at least sizes can be compared."""
    return bool(row["params"]) and size(m.source["params"])[1] == size(row["params"])[1]


def _compare(row: pd.DataFrame, texts: dict[str, str], matches: list[Match]) -> tuple[str, bool]:
    """What the sources say about a printed row, and whether one row of theirs is it."""
    params = row.iloc[0]["params"]
    of_size = [m for m in matches if not params or same_size(params, m.source["params"])]
    if not of_size:
        return f"{matches[0].source['paper']} prints {join([m.source['params'] for m in matches])}", False
    of_size = sorted((m for m in of_size if m.theirs), key=lambda m: -len(m.equal))
    if not of_size:
        return f"its size is that of {matches[0].name}; nothing else can be compared", True
    best = of_size[0]
    if len(best.equal) == len(best.theirs):
        return f"the {len(best.equal)} figures that can be compared are those of {best.name}", True
    for other in matches:
        foreign = [task for task in other.equal if task in best.theirs and task not in best.equal]
        if foreign and other not in of_size:
            figures = join([f"{HEADINGS[task]} {texts[task]}" for task in foreign])
            right = join([best.theirs[task] for task in foreign])
            return f"{figures}: {other.name}; its row of {best.source['params']} has {right}", False
    parts = [f"{join([HEADINGS[task] for task in m.equal])}: {m.name}" for m in of_size if m.equal]
    strangers = [HEADINGS[task] for task in texts if not any(task in m.equal for m in of_size)]
    if strangers:
        parts.append(f"{join(strangers)}: no row of other_papers.csv")
    return "; ".join([*parts, *_implied(row, texts, of_size)]), False


def _implied(row: pd.DataFrame, texts: dict[str, str], matches: list[Match]) -> list[str]:
    """Where one figure alone comes from another source and the average is off: the figure that the average needs."""
    average = row.loc[row["task"] == "average", "text"]
    single = [m.equal[0] for m in matches if len(m.equal) == 1]
    if average.empty or not single:
        return []
    task, printed = single[0], Fraction(numbers(average.iloc[0])[0])
    if shorten(mean(texts), 2) == printed:
        return []
    rest = {other: text for other, text in texts.items() if other != task}
    needed = printed * len(texts) - mean(rest) * len(rest)
    words = f"the printed average {average.iloc[0]} needs {HEADINGS[task]} {float(needed):.2f}, not {texts[task]}"
    for m in matches:
        if task in m.theirs and task not in m.equal and shorten(mean(texts | {task: m.theirs[task]}), 2) == printed:
            words += f"; {m.theirs[task]} in {m.source['paper']} gives it"
    return [words]


def _left_out(scores: pd.DataFrame, others: pd.DataFrame) -> list[Finding]:
    """Rows that the paper leaves out although they have a printed baseline's size; do they beat DCFT?"""
    findings = []
    for _, source in others.iterrows():
        for table, part in scores.groupby("table", sort=False):
            part = part[part["model"] == source["model"]]
            sized = [p for p in part["params"].unique() if p and same_size(p, source["params"])]
            beside = match(dict.fromkeys((t for t in part["task"] if t != "average"), "0"), source)
            if not sized or not beside.theirs or source["method"] in set(part["method"]):
                continue
            ours = part[part["method"] == "dcft"]
            better = [
                f"{HEADINGS[task]} {text} against {printed}"
                for task, text in beside.theirs.items()
                for printed in ours.loc[ours["task"] == task, "text"]
                if value(task, text) > value(task, printed)
            ]
            method = METHODS[source["method"]]
            findings.append(
                Finding(
                    id=f"source/{table}/left-out/{source['method']}",
                    kind="source",
                    table=title(table),
                    what=f"no method of {source['params']} beats DCFT",
                    printed=f"no row of {method}",
                    computed=f"{beside.name}: {'; '.join(better) or 'nowhere better than DCFT'}",
                    verdict=verdict(not better),
                )
            )
    return findings
