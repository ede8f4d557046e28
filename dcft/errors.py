"""The errors of the suite (bad input, a run without a result, a signal), and texts that are safe to print."""


def printable(text: str) -> str:
    """A text on one line without what a terminal or a page acts on: escape sequences, control and bidi characters.

    They become their escapes (`\\x1b`, `\\u202e`), and white space becomes blanks.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else c.encode("unicode_escape").decode() for c in text)


class UserError(Exception):
    """Something the user can mend; its text is one line that names the thing, its value and what to do."""

    def __str__(self) -> str:
        return printable(super().__str__())


class RunFailed(Exception):
    """A run that started and cannot give a score (a loss that is NaN, say); its record says so."""

    def __str__(self) -> str:
        return printable(super().__str__())


class Interrupted(KeyboardInterrupt):
    """A signal ended the run in good order, and the same command goes on. No `except Exception` catches it."""

    STATUS = 75  # exit status: EX_TEMPFAIL, try again
