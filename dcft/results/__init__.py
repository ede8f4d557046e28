"""What lies in results/: records, sweeps, protocols, statistics. `dcft.results.frame("results")` has all records."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "frame":
        from dcft.results.frames import frame

        return frame
    raise AttributeError(f"module 'dcft.results' has no attribute {name!r}")
