"""Super- and subscripts that the paper's labels have, written `DCFT^Δ(ours)`, `DeB^V3_base`, `DCFT_(Q,K)`, `Δ_T`."""

import re

_SCRIPTS = re.compile(r"(\^(?:V3|Δ|†)|_(?:base|large|\([A-Z,]+\)|T\b|f\b))")


def scripts(text: str) -> list[tuple[str, str]]:
    """A text in pieces, each with where it stands: "", "^" or "_"."""
    pieces = []
    for piece in filter(None, _SCRIPTS.split(text)):
        place = piece[0] if _SCRIPTS.fullmatch(piece) else ""
        pieces.append((place, piece.removeprefix(place)))
    return pieces
