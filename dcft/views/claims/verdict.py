"""What the comparisons of a question support, in words."""

from dcft.views.claims.compare import Difference
from dcft.views.claims.questions import Question

SUPPORTED, REFUTED, UNTOLD, UNMEASURED = "supported", "not supported", "cannot be told", "not measured yet"
LEVEL = 0.05
SMALLER = ("training time", "step time", "checkerboard")  # of these the smaller is the better


def verdict(question: Question, found: list[Difference], all_found: list[Difference]) -> tuple[str, str]:
    """The verdict on a claim, and the counts that it follows from.

    A claim is supported if every comparison is significant in its favour, and not supported if one is significant
    against it. Anything else cannot be told, and nothing can with one seed. A significant comparison counts for neither
    side if the same two rows differ significantly the other way on another task or shape.

    Args:
        found: the comparisons that decide, one or more with each of `question.theirs` that was measured, `holm` given.
        all_found: these, and those on single tasks.
    """
    if not found:
        return UNMEASURED, ""
    if any(one.repeats == 1 for one in found):
        return UNTOLD, "one seed"
    sign = -1 if question.quantity in SMALLER else 1
    significant = [one for one in found if _significant(one)]
    opposed = [one for one in significant if any(_opposite(one, other) for other in all_found)]
    good = sum(one.mean * sign > 0 for one in significant if one not in opposed)
    bad = len(significant) - len(opposed) - good
    words = f"{good} of {len(found)} comparisons significant for the claim, {bad} against"
    if opposed:
        words += f"; significant both ways: {', '.join(dict.fromkeys(one.theirs for one in opposed))}"
    if left := len(set(question.theirs) - {one.theirs for one in found}):
        words += f"; {left} not measured yet"
    if outside := [one.theirs for one in found if _excludes_printed(one)]:
        words += f"; the printed difference lies outside the interval: {', '.join(dict.fromkeys(outside))}"
    if bad:
        return REFUTED, words
    return SUPPORTED if good == len(found) and not left else UNTOLD, words


def _excludes_printed(one: Difference) -> bool:
    return one.printed is not None and not one.interval[0] <= one.printed <= one.interval[1]


def _significant(one: Difference) -> bool:
    return (one.p if one.holm is None else one.holm) < LEVEL


def _opposite(one: Difference, other: Difference) -> bool:
    return other.theirs == one.theirs and other.mean * one.mean < 0 and _significant(other)
