"""Texts of tables: super- and subscripts of the paper's labels, and lists in notes.

The labels are written `DCFT^Δ(ours)`, `DeB^V3_base`, `DCFT_(Q,K)`, `Δ_T`.
"""

import re

NAMED = 4  # what a note names of many before it only counts
_SCRIPTS = re.compile(r"(\^(?:V3|Δ|†)|_(?:base|large|\([A-Z,]+\)|T\b|f\b))")


def scripts(text: str) -> list[tuple[str, str]]:
    """A text in pieces, each with where it stands: "", "^" or "_"."""
    pieces = []
    for piece in filter(None, _SCRIPTS.split(text)):
        place = piece[0] if _SCRIPTS.fullmatch(piece) else ""
        pieces.append((place, piece.removeprefix(place)))
    return pieces


def few(words: list[str]) -> str:
    """The first few of many, and how many more there are."""
    more = [f"{len(words) - NAMED} more"] if len(words) > NAMED else []
    return "; ".join(words[:NAMED] + more)


def p_value(p: float) -> str:
    """A p value with three decimals, or its order of magnitude below 0.001."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"
