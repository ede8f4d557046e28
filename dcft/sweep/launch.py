"""Running the cells of a sweep on any launcher: past failures, past workers that die, beside other sweeps.

What became of a cell is read from the record store alone; what a launcher returns or raises is a hint at the reason.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus

from dcft.results import records
from dcft.results.sweeps import Cell

POLL = 2.0  # seconds between two looks at cells that other processes run
MENDABLE = ("new", "interrupted", "failed")

Launch = Callable[[list[list[str]]], Sequence[JobReturn]]


@dataclass(frozen=True)
class Store:
    """The record store of a sweep's cells."""

    results: Path
    outputs: Path

    def status(self, cell: Cell) -> str:
        """done, failed, running, interrupted or new."""
        return records.status(self.results / cell.record, self.outputs / "runs" / cell.name)

    def written(self, cell: Cell) -> int | None:
        """When a cell's record was written, in ns; None if there is none."""
        path = self.results / (cell.record or "")
        return path.stat().st_mtime_ns if path.is_file() else None

    def error(self, cell: Cell) -> str | None:
        """Why a failed cell failed."""
        path = self.results / (cell.record or "")
        return records.read(path)["error"] if path.is_file() else None


def run(cells: list[Cell], launch: Launch, store: Store, retry: bool = True) -> dict[str, str]:
    """Run every cell that is not done.

    All are launched at once, failed ones last. If a worker's death breaks the launch, those that had not begun are
    launched again; then each cell that was interrupted is run once more, alone, so that one which kills its worker
    cannot take others with it. Cells that another process runs are waited for, and run here if it does not finish them.

    Args:
        cells: each once.
        launch: a Hydra launcher's `launch`, given the overrides of each job.
        store: where their records are.
        retry: whether to launch anything twice; not on a queue, where a cell that waits looks like one that died.

    Returns:
        The launcher's reason, by cell name, for cells that ended without a result.
    """
    reasons: dict[str, str] = {}
    launched: set[str] = set()
    while True:
        todo = [cell for cell in cells if cell.name not in launched and store.status(cell) in MENDABLE]
        if not todo:
            if _wait(cells, store):
                continue  # what another process has run may be left to us
            break
        todo.sort(key=lambda cell: store.status(cell) == "failed")
        before = {cell.name: store.written(cell) for cell in todo}
        broke = _launch(todo, launch, reasons)
        _wait(cells, store)
        unbegun = [
            cell
            for cell in todo
            if store.status(cell) in ("new", "failed")
            and store.written(cell) == before[cell.name]
            and cell.name not in reasons
        ]
        launched |= {cell.name for cell in todo}
        if broke and retry and len(unbegun) < len(todo):
            launched -= {cell.name for cell in unbegun}
        elif broke:
            reasons |= {cell.name: broke for cell in unbegun}
    for cell in [cell for cell in cells if retry and store.status(cell) == "interrupted"]:
        print(f"\nonce more, alone: {cell.command}", flush=True)
        if broke := _launch([cell], launch, reasons):
            reasons[cell.name] = broke
        _wait([cell], store)
    return reasons


def _launch(cells: list[Cell], launch: Launch, reasons: dict[str, str]) -> str | None:
    """Launch cells; note why any failed. Returns what the launcher raised, in one line, if it broke."""
    for cell in cells:
        reasons.pop(cell.name, None)
    try:
        returns = launch([cell.overrides for cell in cells])
    except Exception as error:  # whatever a launcher makes of a dead worker
        return f"the launcher stopped: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
    for cell, job in zip(cells, returns, strict=True):
        if job.status == JobStatus.FAILED:
            reasons[cell.name] = " ".join(str(job._return_value).split())
    return None


def _wait(cells: list[Cell], store: Store) -> bool:
    """Return when no other process runs any of these cells; whether one did."""
    said = 0
    while running := sum(store.status(cell) == "running" for cell in cells):
        if running != said:
            print(f"waiting for {running} cell{'s' * (running > 1)} that other processes run", flush=True)
            said = running
        time.sleep(POLL)
    return said > 0
