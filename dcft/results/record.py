"""What a record holds: one run's settings, sources, history and costs. Scores in percent, times in seconds."""

from dataclasses import asdict
from typing import Any

from dcft.config.cell import RunConfig
from dcft.results import protocols, provenance
from dcft.results.records import Status

EVALUATION = {  # an entry of the history: its name in the Trainer's log
    "step": "step",
    "epoch": "epoch",
    "score": "eval_score",
    "loss": "eval_loss",
    "metrics": "eval_metrics",
    "metrics_halves": "eval_metrics_halves",
    "collapsed": "eval_collapsed",
    "train_s": "train_s",
    "eval_s": "eval_s",
}
DIGITS = {"epoch": 4, "train_s": 3, "eval_s": 3}


def new_record(config: RunConfig, started: str, attempts: int, processes: int) -> dict[str, Any]:
    """The record of a run before training: failed until it ends well; unknown values are None.

    Args:
        config: the cell.
        started: time of the first attempt, in UTC.
        attempts: how often the cell was started, this time included.
        processes: how many processes share the run.
    """
    settings = asdict(config)
    sources = settings.pop("recipe_source")
    for key in ("recipe", "table"):
        settings.pop(key)
    return {
        "cell": config.cell,
        "status": Status.FAILED.value,
        "task": config.task.name,
        "model": config.model.name,
        "method": config.method.name,
        "seed": config.seed,
        "score": None,
        "metrics": None,
        "metrics_halves": None,
        "last": None,
        "collapsed": None,
        "toy": config.task.toy,
        "substitute_backbone": config.model.substitute,
        "params": None,
        "tokens": None,
        "time": None,
        "peak_memory_mb": None,
        "data_source": None,
        "model_source": None,
        "config": settings,
        "recipe_source": sources,
        "versions": provenance.versions(),
        "git": provenance.git(),
        "hardware": provenance.hardware(processes),
        "started": started,
        "finished": None,
        "attempts": attempts,
        "error": None,
        "history": [],
        "losses": [],
    }


def training_progress(logs: list[dict[str, Any]], samples: float) -> dict[str, Any]:
    """What training has left so far, finished or not.

    Args:
        logs: the Trainer's log history.
        samples: rows that were trained on, each time counted.
    """
    history = [
        {key: _rounded(key, entry[name]) for key, name in EVALUATION.items()} for entry in logs if "eval_score" in entry
    ]
    last = protocols.choose(history, "last")
    train_s = last["train_s"] if last else None
    return {
        "history": history,
        "losses": [[entry["step"], entry["loss"]] for entry in logs if "loss" in entry],
        "last": last and {key: last[key] for key in ("step", "score", "metrics", "metrics_halves")},
        "collapsed": last and last["collapsed"],
        "time": {
            "train_s": train_s,
            "eval_s": round(sum(entry["eval_s"] for entry in history), 3),
            "samples_per_s": round(samples / train_s, 2) if train_s else None,
        },
        "peak_memory_mb": provenance.peak_memory_mb(),
    }


def best_result(history: list[dict[str, Any]]) -> dict[str, Any]:
    """The score of a run that ended well: that of its best evaluation."""
    best = protocols.choose(history, "best")
    return {"status": Status.DONE.value} | {key: best[key] for key in ("score", "metrics", "metrics_halves")}


def _rounded(key: str, value: Any) -> Any:
    return round(value, DIGITS[key]) if key in DIGITS else value
