"""`hydra/launcher=local`, the default of tables: each cell is a process of its own, one after the other.

A cell that dies (out of memory, say) takes nothing with it, and what runs is the command that a person would type.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

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
    """Runs `python run.py OVERRIDES` for each job and says which it is at."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        pass

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        returns = []
        for number, overrides in enumerate(job_overrides, start=1):
            print(f"\n[{number}/{len(job_overrides)}]", flush=True)
            returns.append(self._run(list(overrides)))
        return returns

    def _run(self, overrides: list[str]) -> JobReturn:
        command = [sys.executable, sys.argv[0], *overrides]
        last = ""
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace", env=environment) as process:
            for line in process.stderr:
                sys.stderr.write(line)
                last = line.strip() or last
        if process.returncode == 0:
            return JobReturn(overrides=overrides, status=JobStatus.COMPLETED)
        if process.returncode < 0:
            last = f"its process was ended by {signal.Signals(-process.returncode).name}"
        error = RuntimeError(last.removeprefix("error: ") or f"exit status {process.returncode}")
        return JobReturn(overrides=overrides, status=JobStatus.FAILED, _return_value=error)
