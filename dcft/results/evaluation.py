"""One evaluation on the dev set, as a record keeps it."""

import math
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
Count = Annotated[int, Field(ge=0)]
Percent = Annotated[float, Field(ge=-100, le=100, description="percent")]
Seconds = Annotated[float, Field(ge=0, description="seconds")]
Metrics = dict[str, Percent | None]  # by name, in percent; None: undefined


@dataclass(config=STRICT, frozen=True)
class Evaluation:
    """One evaluation on the dev set."""

    step: Count  # optimiser steps so far
    epoch: Annotated[float, Field(ge=0)]  # passes over the training rows so far
    score: Percent | None  # percent: the mean of the task's score metrics; None if one is undefined
    loss: float  # mean over the rows of dev, without a method's penalty
    metrics: Metrics  # percent, on all of dev
    metrics_halves: Annotated[list[Metrics], Field(min_length=2, max_length=2)]  # percent, "score" included
    collapsed: bool  # one answer to everything although the references differ
    train_s: Seconds  # of training so far, without evaluations
    eval_s: Seconds  # of this evaluation


def score(metrics: Metrics, names: list[str]) -> float | None:
    """The mean of a task's score metrics, in percent; None if one is undefined."""
    values = [metrics[name] for name in names]
    return None if None in values else math.fsum(values) / len(values)
