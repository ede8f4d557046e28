"""The unit in which tables and figures show a training time."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TimeUnit:
    """A unit of time: its symbol in tables, its name, its length in seconds."""

    symbol: str
    name: str
    seconds: float


HOURS = TimeUnit("h", "hours", 3600.0)
UNITS = (HOURS, TimeUnit("min", "minutes", 60.0), TimeUnit("s", "seconds", 1.0))  # the longest first


def unit_for(seconds: float, smallest: float = 1.0) -> TimeUnit:
    """The longest unit in which a time is at least `smallest`; seconds if it is shorter still."""
    return next((unit for unit in UNITS if seconds >= smallest * unit.seconds), UNITS[-1])
