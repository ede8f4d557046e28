"""The answers of a run's evaluations, in the cell's folder until the run has ended: one file an evaluation."""

from pathlib import Path

import pyarrow
import pyarrow.parquet

from dcft.results import atomic, predictions
from dcft.results.evaluation import Evaluation


def folder(work_dir: Path) -> Path:
    """The folder of a cell's answers."""
    return work_dir / "answers"


class Keeper:
    """Keeps the answers of every evaluation until the run has ended: which are chosen is known only then.

    Args:
        work_dir: the cell's folder.
    """

    def __init__(self, work_dir: Path):
        self.folder = folder(work_dir)

    def __call__(self, answers: pyarrow.Table, step: int) -> None:
        """Keep the answers of an evaluation."""
        atomic.write(self._path(step), predictions.to_bytes(answers))

    def chosen(self, history: list[Evaluation]) -> dict[int, Path]:
        """The files of the evaluations that a protocol chooses, by step; without those that were not kept."""
        paths = {step: self._path(step) for step in predictions.chosen_steps(history)}
        return {step: path for step, path in paths.items() if path.is_file()}

    def read(self, history: list[Evaluation]) -> dict[int, pyarrow.Table]:
        """The answers of the evaluations that a protocol chooses, by step."""
        return {step: pyarrow.parquet.read_table(path) for step, path in self.chosen(history).items()}

    def _path(self, step: int) -> Path:
        return self.folder / f"{step}.parquet"
