"""The errors of the suite: bad input, a run without a result, and a run that a signal ended."""


class UserError(Exception):
    """Something the user can mend; its text is one line that names the thing, its value and what to do."""


class RunFailed(Exception):
    """A run that started and cannot give a score (a loss that is NaN, say); its record says so."""


class Interrupted(KeyboardInterrupt):
    """A signal ended the run in good order, and the same command goes on. No `except Exception` catches it."""

    STATUS = 75  # exit status: EX_TEMPFAIL, try again
