"""Names and values of a run for trackers, which log them, and for the dashboard, which plots them."""

from dataclasses import asdict
from typing import Any

from dcft.config.flatten import flatten
from dcft.config.schema import used_knobs
from dcft.results.record import Record

TRAIN = {"loss": "train/loss", "learning_rate": "train/lr", "grad_norm": "train/grad_norm"}  # the Trainer's name: ours
DEV = "dev/"  # and a metric's name; a run's best value is the largest, except for the loss
SUMMARY = ("error", "attempts", "score", "metrics", "params", "tokens", "time", "peak_memory_mb")
DEV_SCORE, DEV_LOSS = f"{DEV}score", f"{DEV}loss"


def config(settings: dict[str, Any]) -> dict[str, Any]:
    """A run's configuration for a tracker.

    Args:
        settings: the record's configuration.

    Returns:
        At the top level the keys to filter and group by, without knobs that the method lacks; under `settings` the
        record's whole configuration.
    """
    method = settings["method"]
    return {
        "task": settings["task"]["name"],
        "model": settings["model"]["name"],
        "method": method["name"],
        "variant": method["tag"],
        **used_knobs(settings, method["peft"]),
        "seed": settings["seed"],
        "preset": settings["preset"],
        "precision": settings["precision"],
        "toy": settings["task"]["toy"],
        "substitute_backbone": settings["model"]["substitute"],
        "settings": settings,
    }


def tags(settings: dict[str, Any]) -> list[str]:
    """Task, model and method, and a tag for each reason why a run is not the paper's experiment."""
    labels = [settings[group]["name"] for group in ("task", "model", "method")]
    labels += ["toy"] if settings["task"]["toy"] else []
    labels += ["substitute-backbone"] if settings["model"]["substitute"] else []
    return labels


def training(logs: dict[str, Any]) -> dict[str, float]:
    """The Trainer's training logs under the names of trackers."""
    return {TRAIN[key]: value for key, value in logs.items() if key in TRAIN}


def evaluation(entry: dict[str, Any]) -> dict[str, float]:
    """An evaluation's values under the names of trackers."""
    values = {f"{DEV}{name}": value for name, value in entry["eval_metrics"].items()}
    values |= {DEV_SCORE: entry["eval_score"], DEV_LOSS: entry["eval_loss"]}
    return {key: value for key, value in values.items() if value is not None}


def summary(record: Record) -> dict[str, Any]:
    """The record's summary of the run. Flags are 1 or 0, so that charts can count them, or None if unknown."""
    complete, limits = record.data_source.complete, record.config["data"]
    whole = complete and limits["max_train"] is None and limits["max_eval"] is None
    content = asdict(record)
    return {
        "failed": int(not record.done),
        "collapsed": None if record.collapsed is None else int(record.collapsed),
        "whole_data": None if complete is None else int(whole),
        "status": record.status.value,  # W&B writes an enum's name
        **{key: content[key] for key in SUMMARY},
    }


def flat(values: dict[str, Any]) -> dict[str, Any]:
    """Nested values under dotted names, as W&B shows them. Unknown values (None) are left out."""
    return {key: value for key, value in flatten(values).items() if value is not None}
