"""From a model's outputs on the dev set to answers, and from answers to metrics: on all of dev and on its halves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from datasets import Dataset
from evaluate import Metric

from dcft.config.schema import Task
from dcft.data.squad import predict_answers
from dcft.errors import UserError, shown
from dcft.results import predictions
from dcft.results.evaluation import Metrics, score
from dcft.training import metrics


@dataclass
class Scores:
    """The result of one evaluation, in percent. None is a metric that is undefined: one side is constant."""

    score: float | None  # the mean of the task's score metrics; None if one is undefined
    metrics: Metrics
    metrics_halves: list[Metrics]  # "score" included
    collapsed: bool  # see `collapsed` below
    answers: pa.Table  # row by row, as `dcft.results.predictions` describes them, without `step`


class Scorer:
    """Turns a model's outputs on one task's dev sets into answers, and scores them.

    Args:
        task: gives the metric.
        rows: raw, by the name of their dev set.
        encoded: all rows, encoded.
    """

    def __init__(self, task: Task, rows: dict[str, Dataset], encoded: Dataset):
        self.task = task
        self.rows = rows
        self.encoded = encoded
        self.metric = metrics.create(task.metric)

    def __call__(self, outputs: np.ndarray | tuple[Sequence, Sequence]) -> Scores:
        """Score the outputs for every encoded row, in order.

        Args:
            outputs: logits, `rows x classes`; for spans the start and the end logits of each window.
        """
        answers = self._answers(outputs) if self.task.kind == "span" else self._labels(outputs)
        return score_answers(answers, self.metric, self.task.score)

    def _labels(self, logits: np.ndarray) -> pa.Table:
        sets = self.rows
        columns = {
            "split": [name for name, rows in sets.items() for _ in range(len(rows))],
            "id": [number for rows in sets.values() for number in range(len(rows))],
            "label": [label for rows in sets.values() for label in rows["label"][:]],
        }
        if self.task.kind == "regression":
            return pa.table(columns | {"prediction": pa.array(logits[:, 0])})
        classes = pa.array(logits.argmax(axis=1))
        return pa.table(columns | {"prediction": classes, "logits": pa.array(list(logits))})

    def _answers(self, logits: tuple[Sequence[np.ndarray], Sequence[np.ndarray]]) -> pa.Table:
        task, rows = self.task, self.rows["dev"]
        limits = (task.n_best, task.max_answer_length, task.null_threshold)
        texts, scores, null_scores = predict_answers(rows, self.encoded, *logits, *limits)
        labels = [answers["text"] for answers in rows["answers"][:]]
        exact, f1 = metrics.by_question(texts, labels)
        return pa.table(
            {
                "split": ["dev"] * len(rows),
                "id": rows["id"][:],
                "label": pa.array(labels, pa.list_(pa.string())),
                "prediction": texts,
                "score": scores,
                "null_score": null_scores,
                "exact_match": 100 * exact,
                "f1": 100 * f1,
            }
        )


def score_answers(answers: pa.Table, metric: Metric, names: list[str]) -> Scores:
    """Score the answers of one evaluation, on all of dev and on its two fixed halves.

    The halves serve the protocol that chooses an evaluation on one half and reports the other (Ding et al., 2023).

    Args:
        answers: columns `split`, `label` and `prediction`, in the order of the rows.
        metric: of the task.
        names: the metrics whose mean is the score.

    Raises:
        UserError: if there is no metric of a name.
    """
    everything, first, second = {}, {}, {}
    splits = answers["split"].to_numpy()
    labels, given = answers["label"].to_pylist(), answers["prediction"].to_pylist()
    for name in dict.fromkeys(splits):
        suffix = name.removeprefix("dev")  # "" for the only or the matched dev set, else "_mismatched"
        rows = np.flatnonzero(splits == name)
        parts = (rows, *(rows[half] for half in predictions.halves(len(rows))))
        for target, part in zip((everything, first, second), parts, strict=True):
            values = metric.compute(predictions=[given[i] for i in part], references=[labels[i] for i in part])
            target.update({f"{key}{suffix}": value for key, value in values.items()})
    if unknown := set(names) - set(everything):
        raise UserError(f"task.score={shown(min(unknown))}: this task's metrics are {', '.join(everything)}")
    everything, *halves = [_defined(values) for values in (everything, first, second)]
    return Scores(
        score(everything, names),
        everything,
        [half | {"score": score(half, names)} for half in halves],
        collapsed(given, labels),
        answers,
    )


def _defined(values: dict[str, float]) -> Metrics:
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def collapsed(predictions: list, references: list) -> bool:
    """Whether all predictions are the same (to 1e-4 for numbers) although the references differ."""
    if isinstance(predictions[0], float):
        return bool(np.ptp(predictions) < 1e-4 <= np.ptp(references))
    return len(set(predictions)) == 1 and len({str(reference) for reference in references}) > 1
