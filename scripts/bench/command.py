"""Command lines: what is asked of a measurement, and what a measurement asks of the suite."""

import argparse
import subprocess
import sys
from pathlib import Path

from dcft.config.conf import CONF
from dcft.errors import UserError

ROOT = CONF.parent


def require_positive(arguments: argparse.Namespace, *options: str) -> None:
    """Raise UserError for the first of these options that is given and below 1."""
    for option in options:
        value = getattr(arguments, option)
        if value is not None and value < 1:
            raise UserError(f"--{option} {value}: give a whole number of at least 1")


def run(settings: list[str], folder: Path | None = None) -> tuple[int, str]:
    """`python run.py SETTINGS`, in a folder: its exit status, and its last line, which says why if it failed."""
    command = [sys.executable, str(ROOT / "run.py"), *settings]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    said = (ended.stderr.strip() if ended.returncode else "") or ended.stdout.strip() or "nothing was said"
    return ended.returncode, said.splitlines()[-1].strip().removeprefix("error: ")
