"""Which of a run's evaluations is its result. A record keeps them all, so a protocol needs no new run."""

from typing import Any

PROTOCOLS = {  # what is said about the numbers
    "best": "best evaluation on the dev set",
    "last": "last evaluation on the dev set",
    "half": "evaluation chosen on one half of the dev set, reported on the other",
}
EXPLAINED = {
    "best": "Protocol best: of all evaluations on the dev set, the one with the best score (the first of equals); the "
    "number chooses and is reported, which flatters it.",
    "last": "Protocol last: the evaluation after the last step; nothing is chosen.",
    "half": "Protocol half: the evaluation with the best score on the first half of the dev set (the first of equals), "
    "reported on the second half; a half on which the score is undefined is passed over, or blank.",
}


def evaluation(record: dict[str, Any], protocol: str) -> dict[str, float | None] | None:
    """The metrics of a finished run, in percent, with its score under "score".

    Args:
        record: of one run.
        protocol: a key of `PROTOCOLS`.

    Returns:
        The metrics; None for a failed run, or if no evaluation can be chosen.
    """
    history = record["history"]
    if record["status"] != "done" or not history:
        return None
    if protocol == "last":
        return history[-1]["metrics"] | {"score": history[-1]["score"]}
    if protocol == "best":
        best = max(history, key=lambda entry: entry["score"])
        return best["metrics"] | {"score": best["score"]}
    defined = [entry["metrics_halves"] for entry in history if entry["metrics_halves"][0]["score"] is not None]
    return max(defined, key=lambda halves: halves[0]["score"])[1] if defined else None
