"""Training values with their sources: every setting that points into the recipe. No torch here."""

import re
from collections.abc import Collection
from typing import Any

from dcft.config.conf import unknown_setting
from dcft.config.flatten import flatten
from dcft.config.recipe import Recipe, TrainingValue
from dcft.errors import UserError

POINTER = re.compile(r"\$\{recipe:([\w/]+)\}")


def training_values(config: dict[str, Any], given: Collection[str] = ()) -> dict[str, TrainingValue]:
    """The training values and where each comes from.

    A value that points into the recipe (`${recipe:lr}`) is that of the row that states it, with its source. A literal
    stands in conf/config.yaml.

    Args:
        config: what was composed, its interpolations unresolved.
        given: dotted keys that the command line has set.

    Returns:
        Value and source by dotted key.

    Raises:
        UserError: if a value points to something that the recipe does not have, or the command line changes a row.
    """
    if rows := [key for key in given if key.startswith("recipe.")]:
        raise UserError(unknown_setting(rows[0]))
    recipe, values = Recipe(config), {}
    settings: dict[str, Any] = {
        name: config[name] for name in ("train", "eval", "data", "method", "rank") if name in config
    }
    for key, value in flatten(settings).items():
        if match := POINTER.fullmatch(str(value)):
            found = recipe.find(match[1])
            if found is None:
                raise UserError(
                    f"{key} has no value: preset={config['preset']} has none for task={config['task']['name']} with "
                    f"method={config['method']['name']}; give {key}=... or another preset"
                )
            values[key] = found
        elif key in given:
            values[key] = TrainingValue(value, "command line")
        elif key.startswith(("train.", "eval.")):
            values[key] = TrainingValue(value, "conf/config.yaml")
    return values
