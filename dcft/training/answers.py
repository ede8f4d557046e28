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
    """Keeps the answers of the evaluations that a protocol chooses, and deletes the others.

    A run that is killed goes on from the checkpoint of the evaluation before. So the answers that were chosen before
    the newest evaluation stay, too.

    Args:
        work_dir: the cell's folder.
    """

    def __init__(self, work_dir: Path):
        self.folder = folder(work_dir)

    def __call__(self, answers: pyarrow.Table, history: list[Evaluation]) -> None:
        """Keep the answers of the last evaluation of a history."""
        atomic.write(self._path(history[-1].step), predictions.to_bytes(answers))
        kept = {*predictions.chosen_steps(history), *predictions.chosen_steps(history[:-1])}
        for path in self.folder.glob("*.parquet"):
            if path not in {self._path(step) for step in kept}:
                path.unlink()

    def read(self, history: list[Evaluation]) -> dict[int, pyarrow.Table]:
        """The answers of the evaluations that a protocol chooses, by step; without those that were not kept."""
        paths = {step: self._path(step) for step in predictions.chosen_steps(history)}
        return {step: pyarrow.parquet.read_table(path) for step, path in paths.items() if path.is_file()}

    def _path(self, step: int) -> Path:
        return self.folder / f"{step}.parquet"
