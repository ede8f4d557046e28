"""From what Hydra composed to a checked `RunConfig`: a typo, a wrong type or a missing value is one line.

The check happens before anything is read or written.
"""

import copy
import re
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any, cast

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from dcft.config.cell import RunConfig
from dcft.config.conf import unknown_setting
from dcft.config.interpolation import resolve
from dcft.config.recipe_sources import training_values
from dcft.config.schema import TARGETS
from dcft.errors import UserError

SCHEMA = TypeAdapter(RunConfig)


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
    values = training_values(settings, {override.split("=", 1)[0].lstrip("+~") for override in overrides})
    for key, found in values.items():
        *groups, name = key.split(".")
        reduce(dict.__getitem__, groups, settings)[name] = found.value
    try:
        config = SCHEMA.validate_python(resolve(settings))
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key}: {str(error).strip().splitlines()[0]}") from error
    except ValidationError as error:
        raise UserError(_first(error)) from error
    config.recipe = {}  # every value has reached its field by now
    config.recipe_source = {key: found.source for key, found in values.items()}
    _check(config)
    return config


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
    return f"{key}={first['input']}: {first['msg']}"


def _check(config: RunConfig) -> None:
    """Values that the types allow and the experiment does not."""

    def check(good: bool, key: str, value: Any, advice: str) -> None:
        if not good:
            raise UserError(f"{key}={value}: {advice}")

    check(config.targets in TARGETS, "targets", config.targets, f"give one of {', '.join(TARGETS)}")
    check(config.precision in ("fp32", "bf16"), "precision", config.precision, "give fp32 or bf16")
    known = config.attention in ("lean", "plain", "flash")
    check(known, "attention", config.attention, "give lean, plain or flash")
    check(config.dropout in ("fast", "torch"), "dropout", config.dropout, "give fast or torch")
    known = config.method.position_queries in ("adapted", "base")
    check(known, "method.position_queries", config.method.position_queries, "give adapted or base")
    check(not (config.compile and config.fsdp), "compile", "true", "not together with fsdp=true; leave one out")
    check(config.seed >= 0, "seed", config.seed, "give a whole number of at least 0")
    check(config.train.lr > 0, "train.lr", config.train.lr, "give a positive number")
    check(config.train.epochs > 0, "train.epochs", config.train.epochs, "give a positive number")
    check(config.train.warmup >= 0, "train.warmup", config.train.warmup, "give 0, a fraction below 1, or steps")
    for key, value in (
        ("train.batch_size", config.train.batch_size),
        ("train.max_steps", config.train.max_steps),
        ("eval.every", config.eval.every),
        ("eval.batch_size", config.eval.batch_size),
        ("data.max_train", config.data.max_train),
        ("data.max_eval", config.data.max_eval),
        ("data.max_length", config.data.max_length),
        ("kernel", config.kernel),
        ("stride", config.stride),
        ("rank", config.rank),
        ("bottleneck", config.bottleneck),
    ):
        check(value is None or value >= 1, key, value, "give a whole number of at least 1")
    check(config.data.max_eval != 1, "data.max_eval", 1, "give at least 2: dev is scored in halves as well")
    if config.kernel and config.stride:
        advice = f"a stride above kernel={config.kernel} leaves weights without an update; give at most {config.kernel}"
        check(config.stride <= config.kernel, "stride", config.stride, advice)
    if sparsity := config.method.sparsity:
        advice = "give numbers of at least 0, one for each part of the run"
        good = bool(sparsity.thresholds) and min(sparsity.thresholds) >= 0
        check(good, "method.sparsity.thresholds", list(sparsity.thresholds), advice)
        check(sparsity.penalty >= 0, "method.sparsity.penalty", sparsity.penalty, "give a number of at least 0")
    if config.task.kind == "span":
        for key in ("doc_stride", "max_answer_length", "n_best"):
            check(getattr(config.task, key) is not None, f"task.{key}", None, "a span task needs a number")
        shared = cast(int, config.task.doc_stride)
        advice = f"windows of a paragraph share task.doc_stride={shared} tokens and must be longer; give more"
        check(config.data.max_length > shared, "data.max_length", config.data.max_length, advice)
    if config.model.path:
        found = (Path(config.model.path) / "config.json").is_file()
        check(found, "model.path", config.model.path, "no config.json there; give the folder of a saved model")
