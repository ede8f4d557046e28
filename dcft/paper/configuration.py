"""The suite's own configuration of the paper's tasks: DCFT on DeBERTaV3-base."""

from functools import cache
from typing import Any

from dcft.config.compose import Composer
from dcft.config.recipe import Recipe

_composer = cache(Composer)  # reads each YAML file once


@cache
def composed(task: str, preset: str = "table9") -> dict[str, Any]:
    """Task and recipe, as `python run.py task=TASK preset=PRESET method=dcft model=deberta-v3-base` composes them."""
    config = _composer()([f"task={task}", f"preset={preset}", "method=dcft", "model=deberta-v3-base"])
    return {"task": config["task"], "recipe": Recipe(config)}
