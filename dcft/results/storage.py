"""Disks: whether a folder can be written to, has room and has locks, and the errors if not."""

import errno
import shutil
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from dcft.errors import UserError

FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up", errno.EROFS: "it is read-only"}
SPOKEN = ("No space left", "os error 28", "Disk quota exceeded", "PytorchStreamWriter failed")  # by Rust and C++


def require_writable(folder: Path) -> None:
    """Write a little into a folder, or into the nearest one above that exists, and take it away again.

    Raises:
        UserError: if that fails.
    """
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)) as file:
            file.write(bytes(1 << 16))
            file.flush()
    except OSError as error:
        raise UserError(f"{folder}: {_reason(error)}; mend that, or give another folder") from error


def require_room(folder: Path, needed: int) -> None:
    """Check that a disk has room.

    Args:
        folder: on that disk.
        needed: bytes.

    Raises:
        UserError: if it has less.
    """
    if (free := shutil.disk_usage(_existing(folder)).free) < needed:
        raise UserError(
            f"{folder}: checkpoints take about {needed / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free; "
            "free space, or give another outputs.dir"
        )


def lock(path: Path, timeout: float) -> FileLock:
    """Take the kernel's lock of a file, and check that it cannot be taken twice.

    Raises:
        Timeout: if another process holds it.
        UserError: if the file system has no locks, or takes no notice of them.
    """
    advice = f"{path}: the file system has no working flock; give an outputs.dir on another one"
    held = FileLock(path)
    try:
        with warnings.catch_warnings():  # filelock's, before it falls back
            warnings.simplefilter("ignore")
            held.acquire(timeout=timeout)
    except Timeout:
        raise
    except (OSError, NotImplementedError) as error:
        raise UserError(f"{advice} ({error})") from error
    if isinstance(held, SoftFileLock):  # a file that a killed process leaves behind
        held.release()
        raise UserError(advice)
    with suppress(Timeout):
        FileLock(path).acquire(timeout=0)
        held.release()
        raise UserError(advice)
    return held


def explain(error: BaseException, folder: Path) -> None:
    """Turn an error of a full or read-only disk into one that a person can mend; do nothing for any other.

    Raises:
        UserError: if it is one.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, UserError):
        number = getattr(cause, "errno", None)
        if number in FULL or any(text in str(cause) for text in SPOKEN):
            free = shutil.disk_usage(_existing(folder)).free
            raise UserError(
                f"{getattr(cause, 'filename', None) or folder}: {FULL.get(number, FULL[errno.ENOSPC])} "
                f"({free / 1e6:,.1f} MB free); free space, and the same command goes on"
            ) from error
        cause = cause.__cause__ or cause.__context__


def _existing(folder: Path) -> Path:
    """The nearest folder above that exists, or the file that is in its place."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _reason(error: OSError) -> str:
    return FULL.get(error.errno or 0) or f"cannot be written to ({error.strerror})"
