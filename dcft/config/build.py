"""From what Hydra composed to a checked `RunConfig`: a typo, a wrong type or a missing value is one line.

The check happens before anything is read or written.
"""

import copy
import os
import re
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any, cast

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from dcft.config import values
from dcft.config.cell import RunConfig
from dcft.config.conf import unknown_setting
from dcft.config.interpolation import resolve
from dcft.config.recipe_sources import training_values
from dcft.config.schema import TARGETS
from dcft.errors import UserError, shown

SCHEMA = TypeAdapter(RunConfig)
ADVICE = {  # for pydantic's kinds of errors
    "literal_error": "give {expected}",
    "greater_than": "give a number above {gt:.12g}",
    "greater_than_equal": "give at least {ge:.12g}",
    "less_than": "give a number below {lt:.12g}",
    "less_than_equal": "give at most {le:.12g}",
    "finite_number": "give a number that is finite",
    "too_short": "give at least {min_length}",
    "string_too_short": "give a text",
    "string_pattern_mismatch": "give a name of letters, digits and ._+=-",
    "string_too_long": "give at most {max_length} characters",
}


def build(cfg: DictConfig | dict[str, Any], overrides: Sequence[str] = ()) -> RunConfig:
    """Check a composed configuration and turn it into a `RunConfig`.

    Args:
        cfg: what Hydra or a `Composer` composed (with or without the `hydra` node).
        overrides: what the command line gave, as Hydra lists it ("train.lr=1e-3"); named as the source of those values.

    Returns:
        The checked configuration, every interpolation resolved.

    Raises:
        UserError: for an unknown key, a wrong type, a missing or an impossible value.
    """
    refuse_passwords(overrides)
    raw = OmegaConf.to_container(cfg) if isinstance(cfg, DictConfig) else copy.deepcopy(cfg)
    settings = cast(dict[str, Any], raw)
    settings.pop("hydra", None)
    training = training_values(settings, {override.split("=", 1)[0].lstrip("+~") for override in overrides})
    for key, found in training.items():
        *groups, name = key.split(".")
        reduce(dict.__getitem__, groups, settings)[name] = found.value
    try:
        resolved = resolve(settings)
        values.refuse_unfit(resolved)
        config = SCHEMA.validate_python(resolved)
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key}: {str(error).strip().splitlines()[0]}") from error
    except ValidationError as error:
        raise UserError(_first(error)) from error
    config.recipe = {}  # every value has reached its field by now
    config.recipe_source = {key: found.source for key, found in training.items()}
    _check(config)
    return config


def from_record(settings: dict[str, Any]) -> RunConfig:
    """The configuration that a record keeps.

    Raises:
        UserError: if it has a setting that this version of the suite does not know, or lacks one.
    """
    try:
        return SCHEMA.validate_python(settings)
    except ValidationError as error:
        raise UserError(f"the record's settings are not those of this version: {_first(error)}") from error


def refuse_passwords(overrides: Sequence[str]) -> None:
    """Records and plans keep what the command line gives, so an address in it must not hold a password.

    Raises:
        UserError: if one does; the line does not repeat it.
    """
    for override in overrides:
        if re.search(r"://[^/\s]*@", override):
            key = override.partition("=")[0]
            raise UserError(
                f"{key}=: an address with a password would be kept in records; give one without, or a folder"
            )


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "unexpected_keyword_argument":
        return unknown_setting(key)
    if first["type"] == "missing" or first["input"] == MISSING:
        return f"{key} has no value; give {key}=..."
    advice = ADVICE.get(first["type"], "{msg}").format(msg=first["msg"], **first.get("ctx", {})).replace("'", "")
    return f"{key}={shown(first['input'])}: {advice}"


def _check(config: RunConfig) -> None:
    """Values that the types allow and the experiment does not."""

    def check(good: bool, key: str, value: Any, advice: str) -> None:
        if not good:
            raise UserError(f"{key}={shown(value)}: {advice}")

    check(config.targets in TARGETS, "targets", config.targets, f"give one of {', '.join(TARGETS)}")
    check(not (config.compile and config.fsdp), "compile", "true", "not together with fsdp=true; leave one out")
    whole = config.train.warmup < 1 or config.train.warmup.is_integer()
    check(whole, "train.warmup", config.train.warmup, "give a whole number of steps, or a fraction of them below 1")
    if config.kernel and config.stride:
        advice = f"a stride above kernel={config.kernel} leaves weights without an update; give at most {config.kernel}"
        check(config.stride <= config.kernel, "stride", config.stride, advice)
    if config.task.kind == "span":
        for key in ("doc_stride", "max_answer_length", "n_best"):
            check(getattr(config.task, key) is not None, f"task.{key}", None, "a span task needs a number")
        shared = cast(int, config.task.doc_stride)
        advice = f"windows of a paragraph share task.doc_stride={shared} tokens and must be longer; give more"
        check(config.data.max_length > shared, "data.max_length", config.data.max_length, advice)
    if config.model.path:
        found = os.path.isfile(Path(config.model.path) / "config.json")  # False for any path that cannot be
        check(found, "model.path", config.model.path, "no config.json there; give the folder of a saved model")
