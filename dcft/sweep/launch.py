"""Run the cells of a sweep on any launcher: after failures, after dead workers, beside other sweeps.

The record store alone decides whether a cell is done. A launcher's return value or exception is only a hint at the
reason of a failure.
"""

import time
from collections.abc import Callable, Sequence

from hydra.core.utils import JobReturn, JobStatus

from dcft.errors import Interrupted
from dcft.results.records import TO_RUN, Status
from dcft.results.sweeps import Cell, Store

POLL = 2.0  # seconds between two looks at cells that other processes run

Launch = Callable[[list[list[str]]], Sequence[JobReturn]]


def run_cells(cells: list[Cell], launch: Launch, store: Store, retry: bool = True) -> dict[str, str]:
    """Run every cell that is not done.

    All cells are launched at once, with earlier failures last. If a dead worker breaks the launch, the cells that had
    not begun are launched again. Then each interrupted cell is run once more, alone, so that a cell that kills its
    worker harms no other. Cells of another process are waited for, and run here if that process does not finish them.

    Args:
        cells: each once.
        launch: a Hydra launcher's `launch`, given the overrides of each job.
        store: where their records are.
        retry: whether to launch a cell twice; False on a queue, where a waiting cell looks like a dead one.

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
    """Launch cells and note the reasons of failures. Returns the launcher's exception in one line, if it raised."""
    for cell in cells:
        reasons.pop(cell.name, None)
    try:
        returns = launch([cell.overrides for cell in cells])
    except (Exception, Interrupted) as error:  # whatever a launcher makes of a worker that died or got a signal
        return f"the launcher stopped: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
    for cell, job in zip(cells, returns, strict=True):
        if job.status == JobStatus.FAILED:
            reasons[cell.name] = " ".join(str(job._return_value).split())
    return None


def _wait(cells: list[Cell], store: Store) -> bool:
    """Wait until no other process runs any of these cells. Returns whether a process did."""
    announced = 0
    while running := sum(store.status(cell) == Status.RUNNING for cell in cells):
        if running != announced:
            print(f"waiting for {running} cell{'s' * (running > 1)} that other processes run", flush=True)
            announced = running
        time.sleep(POLL)
    return announced > 0
