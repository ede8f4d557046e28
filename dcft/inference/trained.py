"""The model that a finished cell has left, ready to predict."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from dcft.backbones import device, load
from dcft.config.build import from_record
from dcft.config.cell import RunConfig, work_place
from dcft.data import hub
from dcft.errors import UserError, shown
from dcft.results import records
from dcft.results.record import Record
from dcft.training import methods

RECORD = "record.json"  # beside an exported model


@dataclass(frozen=True)
class Source:
    """A finished cell and the folder with its model: adapter, head and tokenizer, or a whole model."""

    record: Record
    config: RunConfig
    folder: Path


@dataclass(frozen=True)
class Trained:
    """A loaded model in evaluation mode."""

    source: Source
    model: PeftModel | PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def find(what: str, results: Path, data_root: str | None = None) -> Source:
    """The cell and the model that a command names.

    Args:
        what: a folder with a model, of a cell (`outputs/runs/CELL`) or exported; or what `records.find` understands.
        results: folder of the records.
        data_root: folder of the official files; None: that of the record.

    Raises:
        UserError: if there is no such cell, it has not finished, or its model is not there.
    """
    folder = Path(what)
    exported = folder / RECORD
    if exported.is_file():
        record = records.read_anywhere(exported)
    elif folder.is_dir():
        folder = folder if folder.name == "model" else folder / "model"
        record = records.read(records.find(results, folder.absolute().parent.name))
    else:
        record = records.read(records.find(results, what))
    config = from_record(record.config)
    if not folder.is_dir():
        folder = Path(config.outputs.dir) / work_place(record.cell) / "model"
    if not record.done:
        raise UserError(f"cell {record.cell} has failed and has no model ({record.error}); run it again")
    if not any(folder.glob("*.safetensors")):
        raise UserError(
            f"cell {record.cell}: there is no model in {folder}; give the folder that has it, or delete the record and "
            "run the cell again"
        )
    if data_root is not None:
        config.data.root = data_root
    if record.model_source.source == "hub":  # the commit that the run was given, where the configuration pins none
        config.model.hub = replace(config.model.hub, revision=record.model_source.revision)
    return Source(record, config, folder)


def load_model(source: Source) -> Trained:
    """Load a cell's backbone and put its adapter and head onto it.

    Raises:
        UserError: if this machine lacks what the cell needs, or the weights cannot be loaded.
    """
    config = source.config
    device.check(config)
    if hub.needs_hub(config):
        hub.prefer_cache_if_offline()
    if config.method.peft is None:  # the folder holds the whole model
        config = replace(config, model=replace(config.model, path=str(source.folder)))
    set_seed(config.seed)  # a backbone with random weights is drawn from it
    backbone = load.load_backbone(config)
    model = methods.prepare(backbone.model, config).model
    if isinstance(model, PeftModel):
        try:
            missing = model.load_adapter(str(source.folder), "default").missing_keys
        except (OSError, ValueError, RuntimeError) as error:  # of PEFT, safetensors or torch
            reason = " ".join(str(error).split())
            raise UserError(f"{source.folder}: the adapter cannot be loaded ({shown(reason)})") from error
        if lacking := [name for name in missing if model.base_model.prefix in name]:
            raise UserError(f"{source.folder}: the adapter lacks {lacking[0]}; give the folder of the cell's own model")
    return Trained(source, model.eval().to(_device()), backbone.tokenizer)


def _device() -> torch.device:
    if torch.accelerator.is_available():
        return torch.accelerator.current_accelerator()
    return torch.device("cpu")
