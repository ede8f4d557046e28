"""A model's outputs, row by row: out of batches, and back into the order of the data."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

Row = tuple[np.ndarray, ...]  # one array for each of the model's outputs: logits, or start and end logits


def per_row(logits: Tensor | tuple[Tensor, ...]) -> list[Row]:
    """The rows of a batch's outputs, in float32 on the CPU."""
    parts = logits if isinstance(logits, tuple) else (logits,)
    return list(zip(*(part.float().cpu().numpy() for part in parts), strict=True))


def together(rows: Sequence[Row]) -> np.ndarray | tuple[Sequence[np.ndarray], ...]:
    """The outputs of all rows: one array, or for a span a sequence of arrays for each of its two ends."""
    columns = tuple(zip(*rows, strict=True))
    return columns if len(columns) > 1 else np.stack(columns[0])
