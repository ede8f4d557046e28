"""A finished cell's model for others: its adapter, the adapter as a LoRA, or a plain Transformers model."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from peft import PeftModel, PeftType
from transformers import PreTrainedModel

from dcft.backbones import position_queries
from dcft.errors import UserError
from dcft.inference import card
from dcft.inference.trained import RECORD, Trained
from dcft.results import storage
from dcft.results.record import to_json
from dcft.tuners.conversion import save_as_lora
from dcft.tuners.factored import FactoredLayer


def export(trained: Trained, form: str, folder: Path) -> None:
    """Write a model with its tokenizer, record and model card into a new folder, completely or not at all.

    Args:
        trained: the model; a merged one is not usable afterwards.
        form: a key of `FORMS`.
        folder: must not exist, or be empty.

    Raises:
        UserError: if the model has no such form, or the folder cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already; delete it, or give another --output")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
            written = Path(scratch) / "export"
            written.mkdir()
            FORMS[form](trained, written)
            trained.tokenizer.save_pretrained(written)
            (written / RECORD).write_text(to_json(trained.source.record), encoding="utf-8")
            card.model_card(trained, form).save(written / "README.md")
            if folder.is_dir():
                folder.rmdir()
            written.rename(folder)
    except OSError as error:
        storage.explain(error, folder)
        raise UserError(f"{folder} cannot be written ({error.strerror}); give another --output") from error


def _adapter(trained: Trained, folder: Path) -> None:
    """The adapter as PEFT saves it."""
    model = _adapted(trained, "adapter")
    model.save_pretrained(str(folder))
    _name_base(trained, folder)


def _lora(trained: Trained, folder: Path) -> None:
    """The adapter as a LoRA that computes the same; a LoRA already is one."""
    model = _adapted(trained, "lora")
    if position_queries.own_projections(model):
        reason = "its position queries keep the frozen projection (method.position_queries=base), which no LoRA does"
        raise UserError(f"{_said(trained)}: {reason}; give --as merged")
    if any(isinstance(module, FactoredLayer) for module in model.modules()):
        save_as_lora(model, folder)
    elif model.peft_config["default"].peft_type == PeftType.LORA:
        model.save_pretrained(str(folder))
    else:
        raise UserError(f"{_said(trained)}: this method has no exact LoRA; give --as adapter or --as merged")
    _name_base(trained, folder)


def _merged(trained: Trained, folder: Path) -> None:
    """A plain model of Transformers."""
    model, task = trained.model, trained.source.config.task
    if isinstance(model, PeftModel):
        positions = position_queries.own_projections(model.get_base_model())
        try:
            model = model.merge_and_unload()
        except (TypeError, ValueError, AttributeError, NotImplementedError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{_said(trained)} cannot be merged ({reason}); give --as adapter") from error
        if positions:
            model = _without_sharing(model, positions)
    if task.kind == "classification":
        model.config.id2label = dict(enumerate(task.labels))
        model.config.label2id = {label: number for number, label in enumerate(task.labels)}
    model.save_pretrained(folder)


FORMS: dict[str, Callable[[Trained, Path], None]] = {"adapter": _adapter, "lora": _lora, "merged": _merged}


def files(folder: Path) -> dict[str, int]:
    """The files of an export and their bytes."""
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir())}


def _said(trained: Trained) -> str:
    return f"cell {trained.source.record.cell}"


def _adapted(trained: Trained, form: str) -> PeftModel:
    """The model, if it has an adapter and a backbone that others can have."""
    if not isinstance(trained.model, PeftModel):
        raise UserError(f"{_said(trained)} has no adapter: its method trains the backbone itself; give --as merged")
    if trained.source.config.model.random:
        raise UserError(
            f"{_said(trained)}: --as {form} goes onto its backbone, whose weights are random; give --as merged"
        )
    return trained.model


def _name_base(trained: Trained, folder: Path) -> None:
    """Say in the adapter's configuration which weights it goes onto; null where the Hub does not have them."""
    hub = trained.source.config.model.hub
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    on_hub = trained.source.record.model_source.source == "hub"
    settings |= {"base_model_name_or_path": hub.id if on_hub else None, "revision": hub.revision if on_hub else None}
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _without_sharing(model: PreTrainedModel, positions: dict) -> PreTrainedModel:
    """A merged DeBERTa whose positions have projections of their own: the frozen one for queries."""
    state = model.state_dict() | positions
    for name, tensor in model.state_dict().items():
        layer, _, kind = name.rpartition(".")
        if layer.endswith("attention.self.key_proj"):
            state[f"{layer.removesuffix('key_proj')}pos_key_proj.{kind}"] = tensor.clone()
    model.config.share_att_key = False
    plain = type(model)(model.config)
    plain.load_state_dict(state)
    return plain
