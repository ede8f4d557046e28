"""The two errors of the suite: bad input, and a run without a result."""


class UserError(Exception):
    """Something the user can mend; its text is one line that names the thing, its value and what to do."""


class RunFailed(Exception):
    """A run that started and cannot give a score (a loss that is NaN, say); its record says so."""
