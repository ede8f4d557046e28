"""Findings of the audit: a figure or a statement, what was computed, and a verdict."""

from dataclasses import dataclass

import pandas as pd

from dcft.paper.printed import METHODS

HOLDS, FAILS, UNTOLD = "holds", "does not hold", "cannot be told"
VERDICTS = [HOLDS, FAILS, UNTOLD]
TARGET_NAMES = {"qk": "Q,K", "qv": "Q,V", "qkv": "Q,K,V", "qkvo": "Q,K,V,O", "all": "all six matrices"}


@dataclass(frozen=True)
class Finding:
    """One printed figure or statement against what can be computed."""

    id: str
    kind: str  # a key of dcft.views.audit.KINDS
    table: str
    what: str
    printed: str
    computed: str
    verdict: str  # one of VERDICTS
    headline: bool = False  # of a kind with too many findings to list, one that the report lists


def verdict(good: bool) -> str:
    """`HOLDS` or `FAILS`."""
    return HOLDS if good else FAILS


def row_name(row: pd.Series) -> str:
    """A printed row in words: backbone, method and the knobs of our reading."""
    words = [row["model"], METHODS[row["method"]]]
    if row["method"] == "dcft":
        words.append(f"d={row['kernel']}")
        if row["stride"] != row["kernel"]:
            words.append(f"s={row['stride']}")
        if row["targets"] != "all":
            words.append(TARGET_NAMES[row["targets"]])
    return " ".join(words)


def row_id(row: pd.Series) -> str:
    """The same for ids: no spaces."""
    return row_name(row).replace(" ", "-").replace("=", "")


def join(words: list[str]) -> str:
    """ "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
