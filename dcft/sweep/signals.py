"""A signal to a sweep ends the cells that it runs in good order, and leaves no process behind."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psutil

from dcft.errors import Interrupted
from dcft.results.records import Status
from dcft.results.sweeps import Cell, Store

# A resource tracker frees what a killed process has left, and warns after the sweep's last line.
QUIET = "ignore:resource_tracker:UserWarning"
GRACE = 3.0  # seconds that processes without a cell have to end


@contextmanager
def passed_on(cells: Sequence[Cell], store: Store) -> Iterator[None]:
    """Listen for a signal while a launcher runs cells; a second Ctrl-C ends the sweep at once.

    The processes that run a cell get SIGTERM, and each saves a checkpoint after its step. Then all other processes that
    this one has started end. Jobs in a queue, and cells of other sweeps, go on.

    Raises:
        KeyboardInterrupt: after a signal, with a line that says so.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread can listen
        yield
        return

    def end(number: int, frame) -> None:
        for other in Interrupted.SIGNALS:
            signal.signal(other, signal.default_int_handler if other == signal.SIGINT else signal.SIG_IGN)
        while running := {store.process(cell) for cell in cells} & {child.pid for child in _started()}:
            for pid in running:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            time.sleep(0.2)
        left = _started()
        for child in left:
            with suppress(psutil.NoSuchProcess):
                child.terminate()
        for child in psutil.wait_procs(left, GRACE)[1]:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        done = sum(store.status(cell) == Status.DONE for cell in cells)
        raise KeyboardInterrupt(f"interrupted: {done} of {len(cells)} cells done; the same command goes on")

    before = {number: signal.signal(number, end) for number in Interrupted.SIGNALS}
    warnings = os.environ.get("PYTHONWARNINGS", "")
    os.environ["PYTHONWARNINGS"] = f"{warnings},{QUIET}" if warnings else QUIET
    try:
        yield
    finally:
        os.environ["PYTHONWARNINGS"] = warnings
        for number, handler in before.items():
            signal.signal(number, handler)


def _started() -> list[psutil.Process]:
    """Every process that this one, or one of those, has started, without Python's resource trackers.

    A resource tracker frees the semaphores of processes that were killed, and then ends. Python starts a killed tracker
    anew, which knows no semaphore and prints a traceback for each. A worker's command may name it too,
    in a filter of warnings.
    """
    tracker = "resource_tracker import main"
    return [child for child in psutil.Process().children(recursive=True) if tracker not in _command(child)]


def _command(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
