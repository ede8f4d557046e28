"""How the jobs of a Slurm queue end: each cell gets the reason of its own job. Nothing here needs Slurm's accounting.

submitit reads states from sacct, which prints nothing on a cluster without accounting: the sweep would wait for ever
for a job that was cancelled. It also raises at the first job without a result, and leaves the others unwatched.
"""

import os
import subprocess
import time

from hydra.core.utils import JobReturn, JobStatus
from submitit.core.utils import FailedJobError, UncompletedJobError
from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob

LONGEST_POLL = 60  # seconds; Slurm forgets an ended job after its MinJobAge, 300 s by default
LIST = ["squeue", "--me", "--array", "--states=all", "--noheader", "--format=%i|%T"]
GONE = "no longer in the queue"
ENDED = "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED TIMEOUT".split() + [GONE]


class Queue(SlurmInfoWatcher):
    """The states of this user's jobs as squeue lists them. The first looks are seconds apart, later ones a minute."""

    def update(self) -> None:
        self._last_status_check = time.time()
        listed = subprocess.run(LIST, capture_output=True, text=True)
        if listed.returncode:  # the controller is restarted, say
            return
        states = dict(line.split("|") for line in listed.stdout.splitlines())
        for job in self._registered - self._finished:
            self._info_dict[job] = {"State": states.get(job, GONE)}
            if self.is_done(job, mode="cache"):
                self._finished.add(job)

    def is_done(self, job_id: str, mode: str = "standard") -> bool:
        return self.get_state(job_id, mode) in ENDED


class Job(SlurmJob):
    """A job of submitit that never raises: without a result, its cell fails with a reason."""

    watcher = Queue(delay_s=LONGEST_POLL)

    def results(self) -> list[JobReturn]:
        log = f"its log is {os.path.relpath(self.paths.stderr)}"
        try:
            (result,) = super().results()
        except UncompletedJobError:
            reason = f"Slurm job {self.job_id} ended: {self.state}; {log}"
        except FailedJobError as error:
            *_, line = (line for line in str(error).split("\n-----")[1].splitlines() if line.strip())
            reason = f"Slurm job {self.job_id} failed: {line}; {log}"
        else:
            if not isinstance(result._return_value, UncompletedJobError):
                return [result]
            reason = f"Slurm job {self.job_id} reached its time limit; hydra.launcher.timeout_min= gives more"
        return [JobReturn(status=JobStatus.FAILED, _return_value=RuntimeError(reason))]


def watch() -> None:
    """Let submitit's Slurm launcher make and watch its jobs so, in this process."""
    from submitit.slurm import slurm

    slurm.SlurmJob = slurm.SlurmExecutor.job_class = Job
