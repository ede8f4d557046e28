"""What a run answered on the dev set, row by row: one Parquet file a cell, for the evaluations that a protocol chooses.

docs/records.md describes the columns.
"""

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dcft.config.cell import predictions_place
from dcft.errors import UserError
from dcft.results import atomic, protocols
from dcft.results.evaluation import Evaluation
from dcft.results.record import Predictions, Record

if TYPE_CHECKING:
    import pyarrow  # loaded where a file is read or written: most views need none

HALVES_SEED = 0  # the halves of a dev set depend on its size alone, so that every run shares them


def chosen_steps(history: list[Evaluation]) -> list[int]:
    """The steps of the evaluations that some protocol chooses."""
    chosen = (protocols.choose(history, name) for name in protocols.PROTOCOLS)
    return sorted({entry.step for entry in chosen if entry})


def halves(rows: int) -> list[np.ndarray]:
    """The numbers of the rows in each half of a dev set with so many rows, in order."""
    order = np.random.default_rng(HALVES_SEED).permutation(rows)
    return [np.sort(order[: rows // 2]), np.sort(order[rows // 2 :])]


def to_bytes(table: "pyarrow.Table") -> bytes:
    """A table as a Parquet file."""
    import pyarrow.parquet

    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def write(path: Path, tables: dict[int, "pyarrow.Table"]) -> Predictions:
    """Write the answers of several evaluations into one file, completely or not at all.

    Args:
        path: of the file.
        tables: the answers, by the step of their evaluation.

    Returns:
        What the record says of the file.
    """
    import pyarrow

    steps = sorted(tables)
    parts = [tables[step].add_column(0, "step", [[step] * len(tables[step])]) for step in steps]
    content = to_bytes(pyarrow.concat_tables(parts))
    atomic.write(path, content)
    return Predictions(sha256=hashlib.sha256(content).hexdigest(), steps=steps)


def path_of(results: Path, record: Record) -> Path:
    """Where the predictions of a record are, if they are kept."""
    return results / predictions_place(record.model, record.task, record.cell)


def read(results: Path, record: Record) -> "dict[int, pyarrow.Table] | None":
    """The answers of a run, by the step of their evaluation; None if the run kept none, or the file is gone.

    Raises:
        UserError: if the file is not the one that the record names.
    """
    path = path_of(results, record)
    if record.predictions is None or not path.is_file():
        return None
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != record.predictions.sha256:
        raise UserError(f"{path} is not the file that its record names (SHA-256); restore it from git or delete it")
    import pyarrow.compute
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(io.BytesIO(content))
    return {step: table.filter(pyarrow.compute.equal(table["step"], step)) for step in record.predictions.steps}
