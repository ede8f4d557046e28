"""The shortest command line that gives a cell its settings."""

from dataclasses import asdict
from typing import Any

from dcft.config.arguments import written
from dcft.config.build import build
from dcft.config.cell import DEFAULTS, NOT_PART, counts, identity
from dcft.config.compose import Composer
from dcft.config.flatten import flatten
from dcft.config.schema import KNOBS
from dcft.errors import UserError

CHOICES = ("task", "model", "method")
DECIDING = ("preset", *KNOBS, "seed")  # other settings follow them, so they are given first
SOURCES = tuple(f"{name}." for name, why in NOT_PART.items() if why.startswith("counts by content"))


def overrides(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that the command line must give: the choices, and what differs from what they compose.

    Args:
        settings: of a cell, nested, as its record keeps them.

    Returns:
        Values by dotted name, the choices first.

    Raises:
        UserError, HydraException: if conf/ has no such choice any more, or composes another experiment.
    """
    compose = Composer()
    wanted = DEFAULTS | flatten(settings)
    given = {key: settings[key]["name"] for key in CHOICES}

    def composed() -> dict[str, Any]:
        return asdict(build(compose([f"{key}={written(value)}" for key, value in given.items()])))

    for key in DECIDING:
        if composed()[key] != wanted[key]:
            given[key] = wanted[key]
    while True:  # a value that is given may change another, as a batch size changes counts of steps
        now = composed()
        flat = DEFAULTS | flatten(now)
        differing = {
            key if key in flat else f"+{key}": value
            for key, value in wanted.items()
            if (counts(key) or f"{key}.".startswith(SOURCES)) and flat.get(key) != value
        }
        differing = {key: value for key, value in differing.items() if key not in given and f"+{key}" not in given}
        if not differing:
            break
        given |= differing
    if identity(now) != identity(settings):
        raise UserError("conf/ has changed: no command line composes these settings any more")
    return given


def command(given: dict[str, Any]) -> list[str]:
    """The words of the command that runs a cell."""
    return ["python", "run.py", *(f"{key}={written(value)}" for key, value in given.items())]
