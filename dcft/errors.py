"""Errors for people: what went wrong in one line, and what to change."""

import difflib
import re
import sys
from collections.abc import Callable
from pathlib import Path

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

CONF = Path(__file__).parent.parent / "conf"


class UserError(Exception):
    """Something the user can mend; its text is one line that names the thing, its value and what to do."""


class RunFailed(Exception):
    """A run that started and cannot give a score (a loss that is NaN, say); its record says so."""


def command(main: Callable[[], None]) -> None:
    """Run a script's `main`: an error that the user can mend is one line on stderr and status 1."""
    try:
        main()
    except Exception as error:
        line = explain(error)
        if line is None:
            raise
        sys.exit(f"error: {line}")


def explain(error: Exception) -> str | None:
    """One line for an error that the user can mend, None for any other."""
    if isinstance(error, (UserError, RunFailed)):
        return str(error)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        return f"{group}={choice}: there is no such {group}; give one of {', '.join(sorted(error.options))}"
    if isinstance(error, OverrideParseException):
        return f"{error.override!r} cannot be read: write key=value, without ~, and quotes around special characters"
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        if match := re.search(r"Could not override '([^']+)'", str(error)):
            return unknown_setting(match[1])
        return " ".join(str(error).split())
    return None


def unknown_setting(key: str) -> str:
    """One line for a setting that does not exist, or not for the chosen method."""
    owners = [name for name, config in _methods() if key in config]
    if owners:
        return f"{key} is a setting of method={', '.join(owners)}, not of the chosen method; leave {key}= out"
    known = {k for _, config in _methods() for k in config} | set(OmegaConf.load(CONF / "config.yaml"))
    close = difflib.get_close_matches(key, known, n=1)
    return f"{key} is not a setting" + (f"; did you mean {close[0]}=?" if close else "; see python run.py --help")


def _methods():
    return [(path.stem, OmegaConf.load(path)) for path in sorted((CONF / "method").glob("*.yaml"))]
