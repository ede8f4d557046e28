"""`hydra/launcher=local`, the default of tables: cells run one after the other in a process beside the sweep.

A cell that dies (out of memory, say) takes nothing with it: the process is replaced, as it is after a cell that failed.
If the sweep dies instead, the process ends with the cell that it is at.
"""

import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class LocalLauncherConfig:
    _target_: str = "hydra_plugins.local_launcher.LocalLauncher"


ConfigStore.instance().store(group="hydra/launcher", name="local", node=LocalLauncherConfig, provider="dcft")


class LocalLauncher(Launcher):
    """Runs for each job what a person would type: `python run.py OVERRIDES`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        pass

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        returns, worker = [], _Worker()
        try:
            for number, overrides in enumerate(job_overrides, start=1):
                print(f"\n[{number}/{len(job_overrides)}]", flush=True)
                error = worker.run(list(overrides))
                returns.append(JobReturn(overrides=overrides, status=JobStatus.COMPLETED))
                if error is not None:
                    returns[-1] = JobReturn(
                        overrides=overrides, status=JobStatus.FAILED, _return_value=RuntimeError(error)
                    )
                    worker.close()
                    worker = _Worker()
        finally:
            worker.close()
        return returns


class _Worker:
    """A process that runs cells until its connection closes, by `close` or because this process is gone."""

    def __init__(self):
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs,))
        self._process.start()
        theirs.close()

    def run(self, overrides: list[str]) -> str | None:
        """Run one cell; returns what went wrong, in one line, or None."""
        try:
            self._connection.send(overrides)
            return self._connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._process.join()
            code = self._process.exitcode
            return f"its process was ended by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"

    def close(self) -> None:
        """Let the process end, after the cell that it is at."""
        self._connection.close()
        self._process.join()


def _work(connection: Connection) -> None:
    os.environ.pop("HYDRA_FULL_ERROR", None)  # run.py has set it for itself
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            sys.argv[1:] = connection.recv()
            error = None
            try:
                runpy.run_path(sys.argv[0], run_name="__main__")
            except SystemExit as end:
                error = str(end.code) if end.code else None
            if error:
                print(error, file=sys.stderr, flush=True)
                error = error.removeprefix("error: ")
            connection.send(error)
