"""Which of a run's evaluations is its result. A record keeps the whole history, so a protocol needs no new run.

A protocol is one function from a history to the evaluation that counts; `@protocol` adds it to `PROTOCOLS`. Training,
records and views ask `choose` alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

from dcft.results.evaluation import Evaluation, Metrics

Chooser = Callable[[list[Evaluation]], Evaluation | None]


@dataclass(frozen=True)
class Protocol:
    """A way to choose the evaluation that counts."""

    choose: Chooser  # from a history that is not empty
    phrase: str  # for captions
    explanation: str  # for reports
    half: int | None = None  # which half of dev is reported, 0 or 1; None: all of dev


PROTOCOLS: dict[str, Protocol] = {}


def protocol(phrase: str, half: int | None = None) -> Callable[[Chooser], Chooser]:
    """Add a function to `PROTOCOLS` under its name; its docstring explains it in reports."""

    def register(choose: Chooser) -> Chooser:
        text = " ".join((choose.__doc__ or phrase).split())
        explanation = f"Protocol {choose.__name__}: {text[0].lower()}{text[1:]}"
        PROTOCOLS[choose.__name__] = Protocol(choose, phrase, explanation, half)
        return choose

    return register


@protocol("best evaluation on the dev set")
def best(history: list[Evaluation]) -> Evaluation | None:
    """Of all evaluations on the dev set, the one with the best score (the first of equals); the number chooses and is
    reported, which flatters it."""
    return max((entry for entry in history if entry.score is not None), key=lambda entry: entry.score, default=None)


@protocol("last evaluation on the dev set")
def last(history: list[Evaluation]) -> Evaluation:
    """The evaluation after the last step; nothing is chosen."""
    return history[-1]


@protocol("evaluation chosen on one half of the dev set, reported on the other", half=1)
def half(history: list[Evaluation]) -> Evaluation | None:
    """The evaluation with the best score on the first half of the dev set (the first of equals), reported on the second
    half; a half on which the score is undefined is passed over, or blank."""
    defined = [entry for entry in history if entry.metrics_halves[0]["score"] is not None]
    return max(defined, key=lambda entry: entry.metrics_halves[0]["score"], default=None)


def choose(history: list[Evaluation], protocol: str) -> Evaluation | None:
    """The evaluation that counts, whole; None for an empty history, or if none can be chosen.

    Args:
        history: of a record, in the order of its steps.
        protocol: a key of `PROTOCOLS`.
    """
    return PROTOCOLS[protocol].choose(history) if history else None


def evaluation(history: list[Evaluation], protocol: str) -> Metrics | None:
    """The metrics that a protocol reports, in percent, with the score under "score"; None if none can be chosen.

    Args:
        history: of a record, in the order of its steps.
        protocol: a key of `PROTOCOLS`.
    """
    return _metrics(choose(history, protocol), PROTOCOLS[protocol].half)


def choosing_score(history: list[Evaluation], protocol: str) -> float | None:
    """The score by which runs with different settings are compared, in percent; None if it is undefined.

    It is that of the evaluation that counts: on the half of dev that is not reported, or on dev where all is reported.

    Args:
        history: of a record, in the order of its steps.
        protocol: a key of `PROTOCOLS`.
    """
    reported = PROTOCOLS[protocol].half
    metrics = _metrics(choose(history, protocol), None if reported is None else 1 - reported)
    return metrics and metrics["score"]


def _metrics(chosen: Evaluation | None, half: int | None) -> Metrics | None:
    """The metrics of an evaluation on a half of dev, or on all of it, with the score under "score"."""
    if chosen is None:
        return None
    return chosen.metrics | {"score": chosen.score} if half is None else chosen.metrics_halves[half]
