"""A cell's checkpoints, as the Trainer writes them: the one to go on from, and the model to keep."""

import os
import shutil
from pathlib import Path

from transformers import TrainerState

STATE = "trainer_state.json"
MODEL = (".safetensors", ".json", ".md")  # the files of `save_pretrained`, and the state


def folder(work_dir: Path) -> Path:
    """The folder of a cell's checkpoints."""
    return work_dir / "checkpoints"


def newest(work_dir: Path) -> str | None:
    """The newest complete checkpoint: the state is written last, so one that a kill cut short has none, or a part."""
    found = folder(work_dir).glob("checkpoint-*")
    for checkpoint in sorted(found, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True):
        try:
            TrainerState.load_from_json(str(checkpoint / STATE))
            return str(checkpoint)
        except (OSError, ValueError):
            shutil.rmtree(checkpoint)
    return None


def keep_model(work_dir: Path, step: int) -> Path:
    """Give a checkpoint's model a second place, `model` in the cell's folder, which outlives the checkpoints.

    Files are linked, not moved: a run that dies before its record is written can still go on from the checkpoint.

    Args:
        work_dir: the cell's folder.
        step: of the checkpoint.

    Returns:
        The folder of the model.
    """
    kept = work_dir / "model"
    shutil.rmtree(kept, ignore_errors=True)  # of a run whose record was deleted
    kept.mkdir()
    for file in (folder(work_dir) / f"checkpoint-{step}").iterdir():
        if file.suffix in MODEL and file.name != STATE:
            _link(file, kept / file.name)
    return kept


def kept_bytes(work_dir: Path) -> int:
    """The size of the kept weights: adapter and head, or the whole model where a method has no adapter."""
    return sum(file.stat().st_size for file in (work_dir / "model").glob("*.safetensors"))


def _link(file: Path, place: Path) -> None:
    try:
        os.link(file, place)
    except OSError:  # some file systems have no links
        shutil.copy2(file, place)
