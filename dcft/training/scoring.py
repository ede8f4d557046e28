"""From a model's outputs on the dev set to metrics: on all of it, on its two fixed halves, and whether it collapsed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dcft.config.schema import Task
from dcft.data.encode import TaskData
from dcft.data.squad import predict_answers
from dcft.results.evaluation import Metrics, score
from dcft.training import metrics

HALVES_SEED = 0  # the halves of a dev set depend on its size alone, so that every run shares them


@dataclass
class Scores:
    """The result of one evaluation, in percent. None is a metric that is undefined: one side is constant."""

    score: float | None  # the mean of the task's score metrics; None if one is undefined
    metrics: Metrics
    metrics_halves: list[Metrics]  # "score" included
    collapsed: bool  # see `collapsed` below


class Scorer:
    """Scores a model's outputs on one task's dev sets.

    The halves serve the protocol that chooses an evaluation on one half and reports the other (Ding et al., 2023).
    """

    def __init__(self, task: Task, data: TaskData):
        self.task = task
        self.data = data
        self.metric = metrics.create(task.metric)

    def __call__(self, outputs: np.ndarray | tuple[Sequence, Sequence]) -> Scores:
        """Score the outputs for every row of `data.dev`, in order: logits, or start and end logits for spans."""
        predictions, references = self._answers(outputs) if self.task.kind == "span" else self._labels(outputs)
        everything, first, second = {}, {}, {}
        start = 0
        for name, rows in self.data.dev_rows.items():
            suffix = name.removeprefix("dev")  # "" for the only or the matched dev set, else "_mismatched"
            order = np.random.default_rng(HALVES_SEED).permutation(len(rows))
            parts = (np.arange(len(rows)), np.sort(order[: len(rows) // 2]), np.sort(order[len(rows) // 2 :]))
            for target, part in zip((everything, first, second), parts, strict=True):
                chosen = start + part
                values = self.metric.compute(
                    predictions=[predictions[i] for i in chosen], references=[references[i] for i in chosen]
                )
                target.update({f"{key}{suffix}": value for key, value in values.items()})
            start += len(rows)
        everything, *halves = [_defined(values) for values in (everything, first, second)]
        return Scores(
            score(everything, self.task.score),
            everything,
            [half | {"score": score(half, self.task.score)} for half in halves],
            collapsed(predictions, references),
        )

    def _labels(self, logits: np.ndarray):
        references = [label for rows in self.data.dev_rows.values() for label in rows["label"][:]]
        predictions = logits[:, 0] if self.task.kind == "regression" else logits.argmax(axis=1)
        return predictions.tolist(), references

    def _answers(self, logits: tuple[Sequence[np.ndarray], Sequence[np.ndarray]]):
        rows = self.data.dev_rows["dev"]
        texts = predict_answers(
            rows,
            self.data.dev,
            *logits,
            self.task.n_best,
            self.task.max_answer_length,
            self.task.null_threshold,
        )
        return texts, [answers["text"] for answers in rows["answers"][:]]


def _defined(values: dict[str, float]) -> Metrics:
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def collapsed(predictions: list, references: list) -> bool:
    """Whether all predictions are the same (to 1e-4 for numbers) although the references differ."""
    if isinstance(predictions[0], float):
        return bool(np.ptp(predictions) < 1e-4 <= np.ptp(references))
    return len(set(predictions)) == 1 and len({str(reference) for reference in references}) > 1
