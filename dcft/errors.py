"""The errors of the suite (bad input, a run without a result, a signal), and how their lines show texts."""

import signal
from reprlib import Repr
from typing import Any

LONGEST = 60  # characters of a value that a line shows
_short = Repr()
_short.maxlevel = 1
_short.maxstring = _short.maxother = _short.maxlong = LONGEST


def printable(text: str) -> str:
    """A text on one line without what a terminal or a page acts on: escape sequences, control and bidi characters.

    They become their escapes (`\\x1b`, `\\u202e`), and white space becomes blanks.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else c.encode("unicode_escape").decode() for c in text)


class Explained(Exception):
    """An error whose text is one line for people."""

    def __str__(self) -> str:
        return printable(super().__str__())


class UserError(Explained):
    """Something the user can mend; its text names the thing, its value and what to do."""


class RunFailed(Explained):
    """A run that started and cannot give a score (a loss that is NaN, say); its record says so."""


class Interrupted(KeyboardInterrupt):
    """A signal ended the run in good order, and the same command goes on. No `except Exception` catches it."""

    STATUS = 75  # exit status: EX_TEMPFAIL, try again
    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def quoted(value: Any) -> str:
    """A value as Python writes it, on one line and cut in the middle: 'a very long ... text'."""
    return _short.repr(value)


def shown(value: Any) -> str:
    """A value as the command line has it, if that is one short line; else quoted."""
    text = str(value)
    return text if text.isprintable() and len(text) <= LONGEST else quoted(value)
