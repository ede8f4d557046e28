"""The two errors of the suite, bad input and a run without a result, and how their lines show a value."""

from reprlib import Repr
from typing import Any

LONGEST = 60  # characters of a value that a line shows
_short = Repr()
_short.maxlevel = 1
_short.maxstring = _short.maxother = _short.maxlong = LONGEST


class UserError(Exception):
    """Something the user can mend; its text is one line that names the thing, its value and what to do."""


class RunFailed(Exception):
    """A run that started and cannot give a score (a loss that is NaN, say); its record says so."""


def quoted(value: Any) -> str:
    """A value as Python writes it, on one line and cut in the middle: 'a very long ... text'."""
    return _short.repr(value)


def shown(value: Any) -> str:
    """A value as the command line has it, if that is one short line; else quoted."""
    text = str(value)
    return text if text.isprintable() and len(text) <= LONGEST else quoted(value)
