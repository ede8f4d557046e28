"""Values that no setting may have, whatever its type: PEFT's arguments and a model's architecture have none here."""

import math
import unicodedata
from typing import Any

from dcft.config.flatten import flatten
from dcft.errors import UserError, shown

LONGEST_TEXT = 4096  # characters; the longest path on Linux
UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}  # control characters, half characters, ends of lines and of paragraphs


def refuse_unfit(settings: dict[str, Any]) -> None:
    """Make sure that every text is one line of characters and every number finite, whole ones below 2^63.

    Args:
        settings: nested, without interpolations. `recipe` and `table` are no settings of a cell.

    Raises:
        UserError: naming the first setting that has another value.
    """
    for key, value in flatten({key: part for key, part in settings.items() if key not in ("recipe", "table")}).items():
        for entry in value if isinstance(value, list) else [value]:
            if problem := _problem(entry):
                raise UserError(f"{key}={shown(value)}: {problem}")


def _problem(value: Any) -> str | None:
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            return f"give at most {LONGEST_TEXT:,} characters"
        if not value.isprintable() and any(unicodedata.category(character) in UNPRINTABLE for character in value):
            return "give text of one line, without control characters"
    if isinstance(value, float) and not math.isfinite(value):
        return "give a number that is finite"
    if isinstance(value, int) and abs(value) >= 2**63:
        return "give a number below 2^63"
    return None
