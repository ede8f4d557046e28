"""The record store: one JSON file a finished cell, one lock and one state file a cell that is being run.

A cell is *done* or *failed* if its record says so, *running* if its lock is held, *interrupted* if a run began and
neither holds, else *new*. The lock is the kernel's: it is free as soon as its process is gone, however that ended.
"""

import enum
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dcft.config.cell import RunConfig
from dcft.errors import UserError
from dcft.results import atomic


class Status(str, enum.Enum):
    """What is known of a cell; a record has DONE or FAILED."""

    NEW = "new"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    DONE = "done"

    __str__ = str.__str__  # "done" in messages, whatever the version of Python


TO_RUN = (Status.NEW, Status.INTERRUPTED, Status.FAILED)


def write(path: Path, record: dict[str, Any]) -> None:
    """Write a record completely or not at all.

    Raises:
        ValueError: if the record holds NaN or infinity, which are no results (and no JSON).
    """
    atomic.write(path, json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def read(path: Path) -> dict[str, Any]:
    """Read one record.

    Raises:
        UserError: if the file is not a record.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        record["cell"], Status(record["status"])
        return record
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a record ({error}); restore it from git or delete it") from error


def paths(results: Path) -> list[Path]:
    """The files of all records below a results folder."""
    return sorted((results / "runs").glob("*/*/*.json"))


def read_all(results: Path) -> list[dict[str, Any]]:
    """Every record below a results folder, in the order of their paths."""
    return [read(path) for path in paths(results)]


def is_done(record: dict[str, Any]) -> bool:
    """Whether a record is that of a run with a result."""
    return record["status"] == Status.DONE


def status(record_path: Path, work_dir: Path) -> Status:
    """What is known of a cell. Writes nothing."""
    known = Status(read(record_path)["status"]) if record_path.is_file() else Status.NEW
    state = work_dir / "state.json"
    if known == Status.DONE or not state.is_file():
        return known
    try:
        with FileLock(work_dir / "lock").acquire(timeout=0):
            pass
    except Timeout:
        return Status.RUNNING
    # A failed cell that was run again and interrupted has a state that is younger than its record.
    with suppress(FileNotFoundError):
        if known == Status.NEW or state.stat().st_mtime_ns > record_path.stat().st_mtime_ns:
            return Status.INTERRUPTED
    return known


@contextmanager
def claim(config: RunConfig) -> Iterator[dict[str, Any]]:
    """Hold a cell while it runs; yields its state (`started`, `attempts`), which is kept in `state.json`.

    The file goes when the run has ended well. A run that ends before it wrote anything else leaves nothing behind.

    Raises:
        UserError: if another run holds the cell.
    """
    folder = config.work_dir
    folder.mkdir(parents=True, exist_ok=True)
    state_path = folder / "state.json"
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0.5)  # `status` takes it for a moment
    except Timeout:
        holder = _read_state(state_path)
        raise UserError(
            f"cell {config.cell} is being run by process {holder.get('pid', '?')} on {holder.get('host', '?')}; "
            "wait for it, or end it and run the same command again"
        ) from None
    try:
        previous = _read_state(state_path)
        state = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": previous.get("started") or now(),
            "attempts": previous.get("attempts", 0) + 1,
        }
        write(state_path, state)
        yield state
        state_path.unlink()  # nothing was interrupted
    finally:
        if {path.name for path in folder.iterdir()} <= {"state.json", "lock"}:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # outputs/runs and outputs, if this run made them
                folder.parent.rmdir()
                folder.parent.parent.rmdir()
        lock.release()


def _read_state(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
