"""Commands: errors that the user can mend become one line on stderr and status 1."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from dcft.config.conf import unknown_setting
from dcft.errors import RunFailed, UserError, printable, quoted, shown


def command(main: Callable[[], None]) -> None:
    """Run a script's `main`: an error that the user can mend is one line on stderr and status 1.

    So is the end of a pipe (`... | head`), without a line.
    """
    try:
        with pipe():
            main()
    except Exception as error:
        line = explain(error)
        if line is None:
            raise
        sys.exit(f"error: {line}")


@contextmanager
def pipe() -> Iterator[None]:
    """End with status 1 and without a word when nobody reads the output any more."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # else Python finds out at its end, and says so
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left in the buffer
        sys.exit(1)


def explain(error: Exception) -> str | None:
    """One line for an error that the user can mend, None for any other."""
    line = _explain(error)
    return None if line is None else printable(line)


def _explain(error: Exception) -> str | None:
    if isinstance(error, (UserError, RunFailed)):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{shown(error.filename)}: {error.strerror}"
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        return f"{group}={shown(choice)}: there is no such {group}; give one of {', '.join(sorted(error.options))}"
    if isinstance(error, OverrideParseException):
        return (
            f"{quoted(error.override)} cannot be read: write key=value, without ~, and quotes around special characters"
        )
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"{mark.name}:{mark.line + 1}: this is not YAML ({error.problem})"
    if str(error) == "No trials are completed yet.":  # Optuna's, of hydra/sweeper=optuna
        return "no trial gave a score; the lines above say why"
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        if match := re.search(r"Could not override '([^']+)'", str(error)):
            return unknown_setting(match[1])
        return " ".join(str(error).split())
    return None
