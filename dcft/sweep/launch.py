"""Running the cells of a sweep on any launcher: past failures, past workers that die, beside other sweeps.

What became of a cell is read from the record store alone; what a launcher returns or raises is a hint at the reason.
"""

import time
from collections.abc import Callable, Sequence

from hydra.core.utils import JobReturn, JobStatus

from dcft.results.records import TO_RUN, Status
from dcft.results.sweeps import Cell, Store

POLL = 2.0  # seconds between two looks at cells that other processes run

Launch = Callable[[list[list[str]]], Sequence[JobReturn]]


def run_cells(cells: list[Cell], launch: Launch, store: Store, retry: bool = True) -> dict[str, str]:
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
        todo = [cell for cell in cells if cell.name not in launched and store.status(cell) in TO_RUN]
        if not todo:
            if _wait(cells, store):
                continue  # what another process has run may be left to us
            break
        todo.sort(key=lambda cell: store.status(cell) == Status.FAILED)
        before = {cell.name: store.written(cell) for cell in todo}
        broke = _launch(todo, launch, reasons)
        _wait(cells, store)
        not_started = [
            cell
            for cell in todo
            if store.status(cell) in (Status.NEW, Status.FAILED)
            and store.written(cell) == before[cell.name]
            and cell.name not in reasons
        ]
        launched |= {cell.name for cell in todo}
        if broke and retry and len(not_started) < len(todo):
            launched -= {cell.name for cell in not_started}
        elif broke:
            reasons |= {cell.name: broke for cell in not_started}
    for cell in [cell for cell in cells if retry and store.status(cell) == Status.INTERRUPTED]:
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
    announced = 0
    while running := sum(store.status(cell) == Status.RUNNING for cell in cells):
        if running != announced:
            print(f"waiting for {running} cell{'s' * (running > 1)} that other processes run", flush=True)
            announced = running
        time.sleep(POLL)
    return announced > 0
