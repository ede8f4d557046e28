"""The record store: one JSON file a finished cell, one lock and one state file a cell that is being run.

A cell is *done* or *failed* if its record says so, *invalid* if its record's file holds something else, *running* if
its lock is held, *interrupted* if a run began and none of these holds, else *new*. The lock is the kernel's: it is free
as soon as its process is gone, however that ended.
"""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dcft.config.cell import RunConfig, record_place
from dcft.errors import UserError, printable, shown
from dcft.results import atomic, storage
from dcft.results.record import Record, Status, from_json, to_json

TO_RUN = (Status.NEW, Status.INTERRUPTED, Status.FAILED)


@dataclass(frozen=True)
class BadRecord:
    """A file in a record's place that is no record, or that of another cell."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.reason}")


def write(path: Path, record: Record) -> None:
    """Write a record completely or not at all.

    Raises:
        ValueError: if the record holds NaN or infinity.
    """
    atomic.write(path, to_json(record))


def place(record: Record) -> Path:
    """Where a record belongs, below the results folder."""
    return record_place(record.model, record.task, record.cell)


def read(path: Path) -> Record:
    """Read one record.

    Raises:
        UserError: if the file is not a record, or that of another cell than its path says.
    """
    found = examine(path)
    if isinstance(found, BadRecord):
        raise UserError(f"{path} is not a record of this cell ({found.reason}); restore it from git or delete it")
    return found


def examine(path: Path) -> Record | BadRecord:
    """The record in a file, or why there is none; read once per process as long as the file does not change."""
    try:
        stat = path.stat()
    except OSError as error:
        return BadRecord(path, str(error))
    return _examine(path, stat.st_ino, stat.st_size, stat.st_mtime_ns)


@cache  # a sweep asks for the status of every cell again and again, and a report for every record in every view
def _examine(path: Path, inode: int, size: int, mtime: int) -> Record | BadRecord:
    try:
        record = from_json(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        return BadRecord(path, " ".join(str(error).split()))
    if path.parts[-4:] == place(record).parts:
        return record
    if path.stem != record.cell:
        return BadRecord(path, f"it holds cell {record.cell}")
    return BadRecord(path, f"it belongs into {place(record)}")


def read_anywhere(path: Path) -> Record:
    """Read a record wherever it lies, for example beside an exported model.

    Raises:
        UserError: if the file is not a record.
    """
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{path} is no record: {error}") from error


def find(results: Path, name: str) -> Path:
    """The record of a path, of a cell's name or of the beginning of one.

    Raises:
        UserError: if there is none, or names of several cells begin so.
    """
    if name.endswith(".json") and Path(name).is_file():
        return Path(name)
    found = sorted(path for path in (results / "runs").glob("*/*/*.json") if path.stem.startswith(name))
    exact = [path for path in found if path.stem == name]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        examples = ", ".join(path.stem for path in found[:3])
        raise UserError(f"{shown(name)} begins the names of {len(found)} cells ({examples}, ...); give more of one")
    advice = "python scripts/records.py list --results FOLDER has all names"
    raise UserError(f"{shown(name)}: no record in {results / 'runs'} has a name that begins so; {advice}")


def read_all(results: Path) -> tuple[dict[str, Record], list[BadRecord]]:
    """Every record below a results folder, by its path there, and the files that are none, both in order of paths."""
    records, bad = {}, []
    for path in sorted((results / "runs").glob("*/*/*.json")):
        found = examine(path)
        if isinstance(found, BadRecord):
            bad.append(found)
        else:
            records[path.relative_to(results).as_posix()] = found
    return records, bad


def status(record_path: Path, work_dir: Path) -> Status:
    """What is known of a cell. Writes nothing."""
    known, recorded = Status.NEW, 0
    if record_path.is_file():
        found = examine(record_path)
        if isinstance(found, BadRecord):
            return Status.INVALID
        known, recorded = found.status, found.attempts
    state = work_dir / "state.json"
    if known == Status.DONE or not state.is_file():
        return known
    try:
        with FileLock(work_dir / "lock").acquire(timeout=0):
            pass
    except Timeout:
        return Status.RUNNING
    # A failed cell that was run again and interrupted has more attempts than its record says. Clocks do not count.
    return Status.INTERRUPTED if read_state(state).get("attempts", 0) > recorded else known


@contextmanager
def claim(config: RunConfig) -> Iterator[dict[str, Any]]:
    """Hold a cell while it runs; yields its state (`started`, `attempts`), which is kept in `state.json`.

    The state and the lock go when the run has ended well. A run that ends before it wrote anything else leaves nothing
    behind.

    Raises:
        UserError: if another run holds the cell, or its folder holds a symbolic link.
    """
    folder = config.work_dir
    folder.mkdir(parents=True, exist_ok=True)
    for path in (folder, *folder.glob("*"), *folder.glob("checkpoints/*")):
        if path.is_symlink():  # the run would write, and delete, where it leads
            raise UserError(f"{path} is a symbolic link; delete it, or give another outputs.dir=FOLDER")
    state_path = folder / "state.json"
    try:
        lock = storage.lock(folder / "lock", timeout=0.5)  # `status` takes it for a moment
    except Timeout:
        holder = read_state(state_path)
        raise UserError(
            f"cell {config.cell} is being run by process {holder.get('pid', '?')} on {holder.get('host', '?')}; "
            "wait for it, or end it and run the same command again"
        ) from None
    try:
        previous = read_state(state_path)
        state = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": previous.get("started") or now(),
            "attempts": previous.get("attempts", 0) + 1,
        }
        for path in (state_path, config.record_path, config.predictions_path):
            atomic.clean(path)
        atomic.write(state_path, json.dumps(state))
        yield state
        # Nothing was interrupted. Whoever waits for this lock, or makes a new one, finds the record.
        state_path.unlink(missing_ok=True)
        (folder / "lock").unlink(missing_ok=True)
    finally:
        if {path.name for path in folder.iterdir()} <= {"state.json", "lock"}:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # outputs/runs and outputs, if this run made them
                folder.parent.rmdir()
                folder.parent.parent.rmdir()
        lock.release()


def read_state(path: Path) -> dict[str, Any]:
    """The state of a cell that is claimed: `pid`, `host`, `started` and `attempts`; empty without one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
