"""Which printed leads of DCFT exceed chance: each against the sampling error that its dev set implies for single runs.

A lead is a figure of a DCFT row above that of another method's row of the same backbone and table; every DCFT row
counts, whatever its kernel. A bold win is a column that DCFT leads alone among the methods other than full fine-tuning,
which takes no part in the paper's marks: its best row against the best other row. Tables 5 and 6 have no other method.
"""

from functools import cache

import pandas as pd

from dcft.paper.audit import sampling
from dcft.paper.audit.findings import FAILS, HOLDS, UNTOLD, VERDICTS, Finding, row_id, row_name
from dcft.paper.audit.sampling import Bounds
from dcft.paper.configuration import composed
from dcft.paper.printed import METHODS, RESULTS, numbers, title

SIGNIFICANT = 1.96  # standard errors; chance gives equal methods a larger difference in 5 % of all cases
POSITIVE = {  # share of label 1 in GLUE's dev sets
    "cola": 721 / 1043,  # acceptable sentences, counted in dev.tsv
    "qqp": 14_885 / 40_430,  # duplicates, as commonly given; not counted here
}
PAIRS = {"mnli": ["matched", "mismatched"], "squad_v1": ["EM", "F1"], "squad_v2": ["EM", "F1"]}


@cache
def sizes(task: str) -> list[int]:
    """Rows of each dev set of a task: two for MNLI."""
    rows = composed(task)["task"]["rows"]
    return [rows[split] for split in rows if split.startswith("dev")]


def figures(cells: pd.DataFrame) -> pd.DataFrame:
    """Every printed score, a pair as two: `cells` with `figure` (its name), `number` (percent) and dev `rows`.

    MNLI's single figures on RoBERTa are of both dev sets together (LoRA's paper, which they are from). Averages have 0
    rows.
    """
    scores = cells[cells["quantity"] == "score"].copy()
    scores["number"] = [numbers(text) for text in scores["text"]]
    names, rows = [], []
    for heading, task, figure in zip(scores["heading"], scores["task"], scores["number"], strict=True):
        dev = sizes(task) if task != "average" else [0]
        names.append([f"{heading} {part}" for part in PAIRS[task]] if len(figure) == 2 else [heading])
        rows.append(dev if len(dev) == len(figure) else [sum(dev)] * len(figure))
    return scores.assign(figure=names, rows=rows).explode(["figure", "number", "rows"], ignore_index=True)


def error(task: str, figure: str, ours: float, theirs: float, rows: int) -> Bounds:
    """The sampling error of the difference of two printed figures.

    Args:
        task: of conf/task; one figure for QQP may be accuracy or its mean with F1, so the bounds hold for both.
        figure: its name, which tells SQuAD's exact match from its F1.
        ours, theirs: percent.
        rows: of the dev set.

    Returns:
        Percentage points.
    """
    pair = ours / 100, theirs / 100
    if task == "cola":
        bounds = sampling.confusion(sampling.matthews, *pair, POSITIVE[task], rows)
    elif task == "stsb":
        bounds = sampling.correlation(*pair, rows)
    elif task == "qqp":
        means = sampling.confusion(sampling.accuracy_f1, *pair, POSITIVE[task], rows)
        bounds = sampling.either(sampling.proportion(*pair, rows), means)
    else:
        bounds = (sampling.bounded if figure.endswith("F1") else sampling.proportion)(*pair, rows)
    return Bounds(*(100 * bound for bound in bounds))


def comparisons(cells: pd.DataFrame) -> pd.DataFrame:
    """Every figure of a DCFT row beside that of another method, led or not, as columns `_x` and `_y`.

    With the difference (`lead`) and the bounds of its `error` in percentage points, and whether it is a `bold` win, if
    it leads. The error of an average follows from those of its tasks.
    """
    printed = figures(cells)
    ours = printed["method"] == "dcft"
    frame = printed[ours].merge(printed[~ours], on=["table", "model", "task", "figure", "rows"])
    frame["lead"] = frame["number_x"] - frame["number_y"]
    inputs = frame["task"], frame["figure"], frame["number_x"].map(float), frame["number_y"].map(float), frame["rows"]
    frame["error"] = [error(*one) if one[-1] else None for one in zip(*inputs, strict=True)]
    for _, row in frame.groupby(["table", "line_x", "line_y"]):
        tasks = [sampling.mean(list(part["error"])) for name, part in row.groupby("task") if name != "average"]
        for index in row.index[row["task"] == "average"]:
            frame.at[index, "error"] = sampling.mean(tasks)
    rivals = frame[frame["method_y"] != "full"].sort_values(["number_x", "number_y"], ascending=False, kind="stable")
    best = rivals.drop_duplicates(["table", "model", "figure"])  # DCFT's best row and the best other
    frame["bold"] = frame.index.isin(best.index)
    return frame


def judge(lead: float, bounds: Bounds) -> str:
    """Whether a lead exceeds chance: for any pairing, for none, or nobody can tell from what is printed."""
    if lead > SIGNIFICANT * bounds.wide:
        return HOLDS
    return UNTOLD if lead > SIGNIFICANT * bounds.narrow else FAILS


def check(cells: pd.DataFrame) -> tuple[list[Finding], pd.DataFrame, pd.DataFrame]:
    """A finding for every lead; their number by table, and by table, backbone and figure, as tables for people."""
    leads = comparisons(cells).query("lead > 0")
    verdicts = [judge(float(lead), bounds) for lead, bounds in zip(leads["lead"], leads["error"], strict=True)]
    leads = leads.assign(verdict=verdicts)
    return [_finding(lead) for _, lead in leads.iterrows()], by_table(leads), by_figure(leads)


def _finding(lead: pd.Series) -> Finding:
    ours = lead.rename(lambda column: column.removesuffix("_x"))
    narrow, wide = (SIGNIFICANT * bound for bound in lead["error"])
    return Finding(
        id=f"noise/{lead['table']}/{row_id(ours)}/{lead['method_y']}/{lead['figure'].replace(' ', '-')}",
        kind="noise",
        table=title(lead["table"]),
        what=f"{lead['figure']}: {row_name(ours)} is better than {METHODS[lead['method_y']]}",
        printed=f"{lead['number_x']} - {lead['number_y']} = {lead['lead']}",
        computed=f"{SIGNIFICANT} errors are {narrow:.2f} if fully paired, {wide:.2f} if independent",
        verdict=lead["verdict"],
        headline=lead["bold"],
    )


def by_table(leads: pd.DataFrame) -> pd.DataFrame:
    """How many bold wins and how many leads exceed chance, by table and in all."""
    lines = []
    for name in [*RESULTS, "all"]:
        part = leads if name == "all" else leads[leads["table"] == name]
        line = {"table": title(name)}
        for word, chosen in (("bold wins", part[part["bold"]]), ("leads", part)):
            line |= {word: len(chosen)} | {f"{word}: {v}": sum(chosen["verdict"] == v) for v in VERDICTS}
        lines.append(line | {"5 % of leads": f"{0.05 * len(part):.1f}"})
    return pd.DataFrame(lines).astype(str)


def by_figure(leads: pd.DataFrame) -> pd.DataFrame:
    """The same by table, backbone and figure, with the range of the leads and of their errors."""
    lines = []
    for (table, model, figure), part in leads.groupby(["table", "model", "figure"], sort=False):
        narrow, wide = zip(*part["error"], strict=True)
        rows = part["rows"].iloc[0]
        lines.append(
            {
                "table": title(table),
                "backbone": model,
                "figure": figure,
                "dev rows": f"{rows:,}" if rows else "",
                "leads": len(part),
                "points": _range([part["lead"].min(), part["lead"].max()]),
                "if paired": _range([SIGNIFICANT * min(narrow), SIGNIFICANT * max(narrow)]),
                "if independent": _range([SIGNIFICANT * min(wide), SIGNIFICANT * max(wide)]),
                **{verdict: sum(part["verdict"] == verdict) for verdict in VERDICTS},
            }
        )
    return pd.DataFrame(lines).astype(str)


def _range(ends: list) -> str:
    return " to ".join(dict.fromkeys(f"{end:.2f}" for end in ends))
