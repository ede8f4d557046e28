"""What a tracker is told of a run, and under which names. Trackers log these names, the dashboard plots them.

Nothing here imports torch.
"""

from typing import Any

from dcft.config.flatten import flatten
from dcft.config.schema import used_knobs
from dcft.results.records import is_done

TRAIN = {"loss": "train/loss", "learning_rate": "train/lr", "grad_norm": "train/grad_norm"}  # the Trainer's name: ours
DEV = "dev/"  # and the name of a metric; the best of a run is its largest value, but for the loss
DEV_SCORE, DEV_LOSS = f"{DEV}score", f"{DEV}loss"


def config(settings: dict[str, Any]) -> dict[str, Any]:
    """A run's configuration: at the top what one filters and groups by, all of the record's below `settings`.

    Args:
        settings: the record's configuration.

    Returns:
        Knobs that the method does not have are left out.
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
    """Task, model and method, and what keeps a run from being a result of the paper's experiment."""
    labels = [settings[group]["name"] for group in ("task", "model", "method")]
    labels += ["toy"] if settings["task"]["toy"] else []
    labels += ["substitute-backbone"] if settings["model"]["substitute"] else []
    return labels


def training(logs: dict[str, Any]) -> dict[str, float]:
    """What the Trainer logs while it trains."""
    return {TRAIN[key]: value for key, value in logs.items() if key in TRAIN}


def evaluation(entry: dict[str, Any]) -> dict[str, float]:
    """What one evaluation found."""
    values = {f"{DEV}{name}": value for name, value in entry["eval_metrics"].items()}
    values |= {DEV_SCORE: entry["eval_score"], DEV_LOSS: entry["eval_loss"]}
    return {key: value for key, value in values.items() if value is not None}


def summary(record: dict[str, Any]) -> dict[str, Any]:
    """What the record says of the whole run. Flags are 1 or 0, so that charts can count them; unknown is None."""
    source, limits = record["data_source"], record["config"]["data"]
    whole = source and source["complete"] and limits["max_train"] is None and limits["max_eval"] is None
    return {
        "status": record["status"],
        "failed": int(not is_done(record)),
        "collapsed": None if record["collapsed"] is None else int(record["collapsed"]),
        "whole_data": None if source is None else int(whole),
        "error": record["error"],
        "attempts": record["attempts"],
        **{key: record[key] for key in ("score", "metrics", "params", "tokens", "time", "peak_memory_mb")},
    }


def flat(values: dict[str, Any]) -> dict[str, Any]:
    """Nested values under dotted names, as W&B shows them; without what is unknown."""
    return {key: value for key, value in flatten(values).items() if value is not None}
