"""A cell's checkpoints: each appears complete or not at all, and is used only if all that it needs is undamaged.

A checkpoint needs its own files, those of the best checkpoint so far, and the answers of the chosen evaluations. Its
manifest holds their digests. The folder `.writing` is where the Trainer writes.
"""

import json
import logging
import os
import re
import shutil
from pathlib import Path

from torch import nn

from dcft.config.digests import file_digest
from dcft.errors import UserError
from dcft.results import atomic

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
MODEL = (".safetensors", ".json", ".md")  # the files of `save_pretrained`, beside the Trainer's state
ADAM = 8  # bytes of Adam's two averages of a parameter


def folder(work_dir: Path) -> Path:
    """The folder of a cell's checkpoints."""
    return work_dir / "checkpoints"


def writing(work_dir: Path) -> Path:
    """Where the Trainer writes: `checkpoint-STEP` below it moves to its place by `publish`."""
    return folder(work_dir) / ".writing"


def place(work_dir: Path, step: int) -> Path:
    """The folder of one checkpoint."""
    return folder(work_dir) / f"checkpoint-{step}"


def publish(work_dir: Path, step: int, best: int | None, answers: list[Path]) -> None:
    """Move a checkpoint that is written to its place, then delete the others except the best.

    Args:
        work_dir: the cell's folder.
        step: of the checkpoint.
        best: step of the best checkpoint so far; None: no evaluation has a score.
        answers: the files of the chosen evaluations' answers.
    """
    written = writing(work_dir) / f"checkpoint-{step}"
    files = sorted(file for file in written.rglob("*") if file.is_file())
    needed = {str(file.relative_to(written)): file_digest(file) for file in files}
    needed |= {os.path.relpath(file, place(work_dir, step)): file_digest(file) for file in answers}
    if best not in (None, step):
        own = {name: digest for name, digest in _manifest(place(work_dir, best)).items() if not name.startswith("..")}
        needed |= {f"../checkpoint-{best}/{name}": digest for name, digest in own.items()}
    for file in files:
        atomic.flush(file)
    atomic.write(written / MANIFEST, json.dumps(needed, indent=1))
    written.rename(place(work_dir, step))
    atomic.flush(folder(work_dir))
    for other in _found(work_dir):
        if other not in (place(work_dir, step), best and place(work_dir, best)):
            _remove(other)


def newest(work_dir: Path) -> Path | None:
    """The newest checkpoint that is undamaged with all that it needs; a damaged one is named and set aside."""
    for leftover in folder(work_dir).glob(".*"):  # a kill cut its writing or its deletion short
        shutil.rmtree(leftover)
    found = _found(work_dir)
    for checkpoint in found:
        damage = _damage(checkpoint)
        if damage is None:
            return checkpoint
        aside = checkpoint.with_name(f"damaged-{step_of(checkpoint)}")
        _remove(aside)
        checkpoint.rename(aside)
        log.warning("note: %s is damaged (%s) and set aside as %s", checkpoint, damage, aside.name)
    if found:
        log.warning("note: no checkpoint is left; the cell starts from the beginning")
    return None


def estimate(model: nn.Module) -> int:
    """The size of a checkpoint in bytes: the trained weights and Adam's averages of them."""
    return sum(p.numel() * (p.element_size() + ADAM) for p in model.parameters() if p.requires_grad)


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
    for file in place(work_dir, step).iterdir():
        if file.suffix in MODEL and file.name not in ("trainer_state.json", MANIFEST):
            _link(file, kept / file.name)
    return kept


def kept_bytes(work_dir: Path) -> int:
    """The size of the kept weights: adapter and head, or the whole model where a method has no adapter."""
    return sum(file.stat().st_size for file in (work_dir / "model").glob("*.safetensors"))


def _found(work_dir: Path) -> list[Path]:
    """Every checkpoint, the newest first."""
    found = folder(work_dir).glob("checkpoint-*")
    return sorted((path for path in found if re.fullmatch(r"checkpoint-\d+", path.name)), key=step_of, reverse=True)


def step_of(checkpoint: Path) -> int:
    """The step of a checkpoint."""
    return int(checkpoint.name.rpartition("-")[2])


def _manifest(checkpoint: Path) -> dict[str, str]:
    return json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))


def _damage(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint; None if nothing is."""
    try:
        manifest = dict(_manifest(checkpoint))
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except (OSError, ValueError, TypeError) as error:
        return f"{MANIFEST} cannot be read: {error}"
    for name, digest in manifest.items():
        try:
            if not (checkpoint / name).is_file():
                return f"{name} is missing"
            if file_digest(checkpoint / name) != digest:
                return f"{name} has changed"
        except UserError as error:
            return str(error)
    return None


def _remove(path: Path) -> None:
    """Delete a checkpoint, if it is there; a kill leaves nothing that could be taken for it."""
    hidden = path.with_name(f".deleting-{path.name}")
    if path.exists():
        path.rename(hidden)
        shutil.rmtree(hidden)


def _link(file: Path, place: Path) -> None:
    try:
        os.link(file, place)
    except OSError:  # some file systems have no links
        shutil.copy2(file, place)
