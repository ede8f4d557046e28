"""The suite's commands, run in a process of their own as a user runs them."""

import subprocess
import sys
from pathlib import Path

from dcft.config.conf import CONF
from dcft.errors import UserError

ROOT = CONF.parent


def run(settings: list[str], folder: Path | None = None) -> str:
    """Run `python run.py SETTINGS`.

    Args:
        settings: `key=value` each.
        folder: working directory; None: that of this process.

    Returns:
        The last line of its output: the path of the cell's record, or of the table's last file.

    Raises:
        UserError: if the command fails.
    """
    command = [sys.executable, str(ROOT / "run.py"), *settings]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    require_success(command, process.returncode, process.stderr or process.stdout)
    return process.stdout.splitlines()[-1]


def require_success(command: list[str], status: int, output: str) -> None:
    """Raise UserError with the last line of a failed command's output: that line says what went wrong."""
    if status:
        script, *settings = command[1:]
        reason = (output.strip() or "no output").splitlines()[-1].removeprefix("error: ")
        raise UserError(f"{Path(script).name} {' '.join(settings)} ended with status {status}: {reason}")
