"""Where training values come from: every value that points into the recipe, with its source. No torch here."""

import re
from collections.abc import Collection
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from dcft.config.conf import unknown_setting
from dcft.config.flatten import flatten
from dcft.config.recipe import Recipe
from dcft.errors import UserError

POINTER = re.compile(r"\$\{recipe:([\w/]+)\}")


def trace_sources(config: DictConfig, given: Collection[str] = ()) -> dict[str, str]:
    """Where each training value comes from.

    A value that points into the recipe (`${recipe:lr}`) has the source of the row that states it. A literal stands in
    conf/config.yaml.

    Args:
        config: the composed configuration, its interpolations unresolved.
        given: dotted keys that the command line has set.

    Returns:
        Source by dotted key.

    Raises:
        UserError: if a value points to something that the recipe does not have, or the command line changes a row.
    """
    if rows := [key for key in given if key.startswith("recipe.")]:
        raise UserError(unknown_setting(rows[0]))
    recipe, traced = Recipe(config), {}
    raw = cast(dict[str, Any], OmegaConf.to_container(config))
    settings: dict[str, Any] = {name: raw[name] for name in ("train", "eval", "data", "method", "rank") if name in raw}
    for key, value in flatten(settings).items():
        if match := POINTER.fullmatch(str(value)):
            found = recipe.find(match[1])
            if found is None:
                raise UserError(
                    f"{key} has no value: preset={config.preset} has none for task={config.task.name} with "
                    f"method={config.method.name}; give {key}=... or another preset"
                )
            traced[key] = found.source
        elif key in given:
            traced[key] = "command line"
        elif key.startswith(("train.", "eval.")):
            traced[key] = "conf/config.yaml"
    return traced
