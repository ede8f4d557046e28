"""From the Trainer's log to the parts of a record: evaluations, losses and costs."""

from typing import Any

from dcft.results.evaluation import Evaluation
from dcft.results.record import Costs


def evaluations(logs: list[dict[str, Any]]) -> list[Evaluation]:
    """Every evaluation in the Trainer's log history, in the order of steps."""
    return [
        Evaluation(
            step=entry["step"],
            epoch=round(float(entry["epoch"]), 4),
            score=entry["eval_score"],
            loss=entry["eval_loss"],
            metrics=entry["eval_metrics"],
            metrics_halves=entry["eval_metrics_halves"],
            collapsed=entry["eval_collapsed"],
            train_s=round(entry["train_s"], 3),
            eval_s=round(entry["eval_s"], 3),
        )
        for entry in logs
        if "eval_score" in entry
    ]


def losses(logs: list[dict[str, Any]]) -> list[tuple[int, float]]:
    """Step and mean training loss since the step before, for each logged loss."""
    return [(entry["step"], float(entry["loss"])) for entry in logs if "loss" in entry]


def costs(history: list[Evaluation], samples: float) -> Costs:
    """Times of a run.

    Args:
        history: its evaluations so far.
        samples: rows that were trained on, each time counted.
    """
    train_s = history[-1].train_s if history else None
    return Costs(
        train_s=train_s,
        eval_s=round(sum(entry.eval_s for entry in history), 3),
        samples_per_s=round(samples / train_s, 2) if train_s else None,
    )
