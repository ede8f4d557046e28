"""Where training values come from: every value that points into the recipe, with its source. No torch here."""

import re
from collections.abc import Collection
from typing import Any

from dcft.config.flatten import flatten
from dcft.errors import UserError


def trace_sources(raw: dict[str, Any], given: Collection[str] = ()) -> dict[str, str]:
    """Where each training value comes from.

    A value that points into the recipe (`${recipe.lr}`) has the source that the recipe states for it; it is inferred if
    that source states it for another task, backbone or method. A literal stands in conf/config.yaml.

    Args:
        raw: the composed configuration, its interpolations unresolved.
        given: dotted keys that the command line has set.

    Returns:
        Source by dotted key.

    Raises:
        UserError: if a value points to something that the recipe does not have.
    """
    recipe = raw["recipe"]
    traced = {}
    settings: dict[str, Any] = {name: raw[name] for name in ("train", "eval", "data", "method", "rank") if name in raw}
    for key, value in flatten(settings).items():
        if match := re.fullmatch(r"\$\{recipe\.(\w+)\}", str(value)):
            if match[1] not in recipe:
                raise UserError(
                    f"{key} has no value: preset={raw['preset']} has none for task={raw['task']['name']} with "
                    f"method={raw['method']['name']}; give {key}=... or another preset"
                )
            in_recipe = f"recipe.{match[1]}" in given
            traced[key] = "command line" if in_recipe else _source(match[1], raw)
        elif key.startswith(("train.", "eval.")):
            traced[key] = "command line" if key in given else "conf/config.yaml"
        elif key in given:
            traced[key] = "command line"
    return traced


def _source(name: str, raw: dict[str, Any]) -> str:
    """The source of one value of the recipe, in words."""
    source = raw["recipe"]["sources"].get(name, "not stated")
    stated = raw["recipe"]["stated_for"].get(source, {})
    others: list[str] = []
    for kind in ("task", "model", "method"):
        if raw[kind]["name"] not in stated.get(kind, [raw[kind]["name"]]):
            others += ["other tasks"] if kind == "task" else stated[kind]
    return f"inferred: {source} for {', '.join(others)}" if others else source
