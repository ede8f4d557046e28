"""The paper's difference for a comparison of ours: the same rows on the same tasks, on DeBERTaV3-base."""

import pandas as pd

from dcft.views.claims.questions import PRINTED, TABLES, Question

MODEL = "deberta-v3-base"
KINDS = {"score": "score", "training time": "time", "step time": "time"}


def difference(cells: pd.DataFrame, question: Question, theirs: str, tasks: list[str] | None = None) -> float | None:
    """Ours minus theirs: in points of the mean over tasks, or in percent of their time, the geometric mean over tasks.

    Args:
        cells: the printed figures (`dcft.paper.printed.cells`).
        tasks: names of conf/task; None: all of the paper's table.

    Returns:
        None where the paper prints no such row or task.
    """
    if not question.printed:
        return None
    ours, others = (_values(cells, question, title) for title in (question.ours, theirs))
    tasks = list(ours) if tasks is None else tasks
    if not tasks or not all(task in ours and task in others for task in tasks):
        return None
    if question.quantity == "score":
        return sum(ours[task] - others[task] for task in tasks) / len(tasks)
    ratio = 1.0
    for task in tasks:
        ratio *= ours[task] / others[task]
    return 100 * (ratio ** (1 / len(tasks)) - 1)


def _values(cells: pd.DataFrame, question: Question, title: str) -> dict[str, float]:
    """A row's figures by task; empty if the paper has no such row."""
    if title not in PRINTED:
        return {}
    part = cells[(cells["table"] == TABLES[question.topic][1]) & (cells["model"] == MODEL)]
    part = part[part["quantity"] == KINDS[question.quantity]]
    for knob, value in PRINTED[title].items():
        part = part[part[knob] == value]
    part = part[part["line"] == part["line"].min()].dropna(subset=["task"])
    part = part[part["task"] != "average"]  # Table 4 prints a mean time
    return dict(zip(part["task"], part["value"], strict=True))
