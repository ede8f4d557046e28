"""The trained weights that a run starts from (`model.init_from`): where they lie, and whether they fit. No torch here.

A source that is a cell is known by its record. Any other folder is known by its adapter_config.json alone; a wrong
shape is then found when the weights are loaded (dcft.training.initial).
"""

import glob
import json
import shlex
from pathlib import Path
from typing import Any

from hydra.errors import HydraException

from dcft.config.cell import RunConfig, work_place
from dcft.config.digests import model_identity, start_cell, start_files, start_identity
from dcft.config.flatten import flatten
from dcft.config.overrides import command, overrides
from dcft.config.schema import used_knobs
from dcft.errors import UserError, shown
from dcft.results import records, sweeps
from dcft.results.record import Record

# Arguments of PEFT that change how an adapter trains and not the function that trained weights compute.
TRAINING_ONLY = "init init_std tinit tfinal deltaT total_step orth_reg_weight beta1 beta2".split()
OTHER = "or start from another cell"


def folder(config: RunConfig) -> Path:
    """Where the weights that a run starts from lie: below `outputs.dir` for a name, else where the path says."""
    given, cell = Path(config.model.init_from or ""), start_cell(config.model.init_from or "")
    if cell is None:
        return given
    if str(given) == cell:
        given = Path(config.outputs.dir) / work_place(cell)
    return given if given.name == "model" else given / "model"


def require(config: RunConfig) -> None:
    """Make sure that the cell that a run starts from has been trained and fits; without `model.init_from` do nothing.

    Raises:
        UserError: if it has no result, its weights are gone, or its backbone, method or settings are others.
    """
    start = config.model.init_from
    if start is None:
        return
    if cell := start_cell(start):
        record = _record(config, cell)
        _require_same(config, record)
        if not start_files(folder(config)):
            raise UserError(
                f"{_said(config)}: its record is there and its weights are not in {folder(config)}; copy them "
                f"there, or delete the record and train it again: {_of_record(record)}"
            )
    else:
        start_identity(start)
        _require_same_adapter(config, folder(config))


def _said(config: RunConfig) -> str:
    return f"model.init_from={config.model.init_from}"  # whole, since names of cells are long and end in their hash


def _record(config: RunConfig, cell: str) -> Record:
    """The record of a finished source."""
    results = Path(config.results.dir)
    path = next(results.glob(f"runs/*/*/{glob.escape(cell)}.json"), None)
    if path is None:
        raise UserError(f"{_said(config)} has no record in {results / 'runs'}; train it: {_planned(results, cell)}")
    record = records.read(path)
    if not record.done:
        raise UserError(f"{_said(config)} has failed ({record.error}); train it again: {_of_record(record)}")
    return record


def _require_same(config: RunConfig, record: Record) -> None:
    """Compare backbone, method, knobs and the adapter's arguments with those of the source's record."""
    _refuse_other(config, "model", config.model.name, record.model)
    here, there = _backbone(model_identity(config.model)), _backbone(record.model_source.identity)
    for key in sorted({*here, *there}):
        _refuse_other(config, f"model={config.model.name}, whose {key}", here.get(key), there.get(key))
    _refuse_other(config, "method", config.method.name, record.method)
    peft, other = config.method.peft, record.config["method"]["peft"]
    knobs, known = used_knobs(vars(config), peft), used_knobs(record.config, other)
    arguments, trained = (
        {f"method.peft.{key}": value for key, value in flatten(one or {}).items()} for one in (peft, other)
    )
    for key in [*knobs, *sorted({*arguments, *trained})]:
        name = key.rpartition(".")[2]
        if name not in TRAINING_ONLY and "dropout" not in name:
            _refuse_other(config, key, (knobs | arguments).get(key), (known | trained).get(key))


def _require_same_adapter(config: RunConfig, place: Path) -> None:
    """Compare the kind of an adapter, and the backbone that it names, with its adapter_config.json."""
    try:
        saved = json.loads((place / "adapter_config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        saved = {}
    except ValueError as error:
        raise UserError(f"{place / 'adapter_config.json'} cannot be read: {error}") from error
    kind = str((config.method.peft or {}).get("peft_type", "none")).upper()
    _refuse_other(config, "method.peft.peft_type", kind, str(saved.get("peft_type", "none")).upper())
    model = config.model
    if not (model.path or model.package or model.random) and saved.get("base_model_name_or_path"):
        _refuse_other(config, "model.hub.id", model.hub.id, saved["base_model_name_or_path"])


def _refuse_other(config: RunConfig, key: str, here: Any, there: Any) -> None:
    if here != there:
        raise UserError(f"{key}={shown(here)}: {_said(config)} was trained with {shown(there)}; give that, {OTHER}")


def _backbone(identity: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in identity.items() if key != "init_from"}


def _planned(results: Path, cell: str) -> str:
    """The command that trains a cell, from the plan of a table that has it; else as far as its name tells."""
    for path in sorted((results / "sweeps").glob("*.json")):
        for one in sweeps.read(path).cells:
            if one.name == cell:
                return one.command
    return f"python run.py with the settings that print the name {cell}"


def _of_record(record: Record) -> str:
    try:
        return shlex.join(command(overrides(record.config)))
    except (UserError, HydraException):
        return "the settings in its record"
