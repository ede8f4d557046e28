"""The same small table on every launcher: it ends, it survives a worker's death, a killed sweep goes on.

The local launcher's faults are in test_command.
"""

import json
import os
import time

import joblib
import pytest

from tests.conftest import ROOT
from tests.sweep.test_command import FAULTS, PAIR, kill_in_the_middle, stored

pytestmark = pytest.mark.slow
LAUNCHERS = {
    "local": ["hydra.launcher.n_jobs=2"],
    "joblib": ["hydra.launcher.n_jobs=2"],
    "submitit_local": [],
    "submitit_slurm": ["hydra.launcher.partition=any"],
    "ray": ["+hydra.launcher.ray.init.num_cpus=2", "+hydra.launcher.ray.remote.max_retries=0"],
}
TWO_AT_ONCE = ("local", "joblib", "ray")  # and each with half of the threads
PACKAGES = {
    "local": "local_launcher",
    "submitit_local": "hydra_submitit_launcher",
    "submitit_slurm": "hydra_submitit_launcher",
}


@pytest.fixture(params=LAUNCHERS)
def launcher(request, tmp_path, monkeypatch):
    name = request.param
    package = PACKAGES.get(name, f"hydra_{name}_launcher")
    pytest.importorskip(f"hydra_plugins.{package}", reason=f"needs pip install -e .[{name.partition('_')[0]}]")
    if name == "submitit_slurm":  # stand-ins for sbatch, srun and sacct
        monkeypatch.setenv("PATH", f"{ROOT / 'tests' / 'fake_slurm'}:{os.environ['PATH']}")
        monkeypatch.setenv("FAKE_SLURM", str(tmp_path / "slurm"))
    return [f"hydra/launcher={name}", *LAUNCHERS[name]]


def test_a_table_runs_and_is_not_run_twice(command, tmp_path, launcher):
    first = command(*PAIR, *launcher)
    assert first.returncode == 0, first.stdout + first.stderr
    records = stored(tmp_path)
    assert len(records) == 3
    if launcher[0].partition("=")[2] in TWO_AT_ONCE:
        threads = {json.loads(record)["hardware"]["threads"] for record in records.values()}
        assert 2 * max(threads) <= max(joblib.cpu_count(), 2)
    second = command(*PAIR, *launcher)
    assert second.returncode == 0
    assert "3 cells, 3 done, 0 to run" in second.stdout
    assert stored(tmp_path) == records


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "submitit_slurm", "ray"], indirect=True)
def test_a_cell_that_kills_its_worker_is_named_and_the_rest_is_done(command, tmp_path, launcher):
    ended = command(*PAIR, *launcher, **FAULTS)
    assert ended.returncode == 1
    (missing,) = [line for line in ended.stdout.splitlines() if line.startswith("missing: ")]
    assert " kernel=8 " in missing
    assert len(stored(tmp_path)) == 2
    assert command(*PAIR, *launcher).returncode == 0
    assert len(stored(tmp_path)) == 3


@pytest.mark.parametrize("launcher", ["joblib", "submitit_slurm"], indirect=True)  # jobs die with it, or live on
def test_a_killed_sweep_goes_on_with_what_is_missing(command, tmp_path, launcher):
    left = kill_in_the_middle(tmp_path, [*PAIR, *launcher], os.killpg)
    assert len(left) < 3 or launcher[0].endswith("submitit_slurm"), "nothing was left to do"
    wait_for_queue(tmp_path)
    second = command(*PAIR, *launcher)
    assert second.returncode == 0, second.stdout + second.stderr
    done = stored(tmp_path)
    assert len(done) == 3
    assert all(done[path] == content for path, content in left.items())


def wait_for_queue(tmp_path):
    """Jobs of a queue outlive the sweep; the README says to run it again once the queue is empty."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if not any(job.read_text().strip() == "RUNNING" for job in (tmp_path / "slurm").glob("job*/*")):
            return
        time.sleep(0.5)
