"""`hydra/launcher=local`, the default of tables: cells run in processes beside the sweep, `n_jobs` of them at once.

A cell that dies (out of memory, say) takes nothing with it: the process is replaced, as it is after a cell that failed.
If the sweep dies instead, each process ends with the cell that it is at.
"""

import time
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from dcft.errors import UserError
from dcft.sweep import workers
from dcft.sweep.estimate import duration
from dcft.sweep.workers import Worker

POLL = 1.0  # seconds; a signal may come just before a wait begins, and its handler runs only after the wait


class LocalLauncher(Launcher):
    """Runs for each job what a person would type: `python run.py OVERRIDES`."""

    def __init__(self, n_jobs: int | None):
        self.n_jobs = n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        if self.n_jobs is not None and not (isinstance(self.n_jobs, int) and self.n_jobs >= 1):
            raise UserError(f"hydra.launcher.n_jobs={self.n_jobs}: give how many cells to run at once, at least 1")

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        devices, total = workers.gpus(), len(job_overrides)
        at_once = min(self.n_jobs or len(devices) or 1, total)
        returns = [JobReturn(overrides=overrides, status=JobStatus.COMPLETED) for overrides in job_overrides]
        waiting = deque(range(total))
        idle = [Worker(workers.environment(number, at_once, devices), alone=at_once == 1) for number in range(at_once)]
        busy: dict[Connection, tuple[Worker, int]] = {}
        started = time.monotonic()
        try:
            while waiting or busy:
                while idle and waiting:
                    worker, job = idle.pop(0), waiting.popleft()
                    worker.begin(f"[{job + 1}/{total}]", list(job_overrides[job]))
                    busy[worker.connection] = worker, job
                for connection in wait(busy, POLL):
                    worker, job = busy.pop(connection)
                    if (error := worker.end()) is not None:
                        returns[job].status = JobStatus.FAILED
                        returns[job].return_value = RuntimeError(error)
                        worker = worker.replace()
                    idle.append(worker)
                    _show_progress(total - len(waiting) - len(busy), len(busy), total, time.monotonic() - started)
        finally:
            for worker in [*idle, *(worker for worker, _ in busy.values())]:
                worker.close()  # after a signal the processes are gone (dcft.sweep.signals)
        return returns


def _show_progress(ended: int, running: int, total: int, seconds: float) -> None:
    """One line after each cell but the last. The rest goes on at the pace so far; running cells count as half done."""
    if ended < total:
        done = ended + running / 2
        left = duration(seconds * (total - done) / done)
        line = f"{ended} of {total} cells ended after {duration(seconds)}; about {left} left\n"
        print(line, end="", flush=True)  # one write: a worker's line may come between two, if Python is unbuffered
