"""Tables on a real Slurm: the sweep says truly how its jobs ended, and the same command finishes them."""

import json
import subprocess
import sys
import time

import psutil
import pytest

from tests.conftest import ROOT
from tests.faults.slurm import cluster
from tests.faults.test_signals import LONG, start

pytestmark = pytest.mark.slow
pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs pip install -e .[slurm]")
TABLE = [ROOT / "run.py", "table=demo", "model=tiny-bert", "only=toy_cls", *LONG[2:]]
TABLE += ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=cpu"]
PROMISE = "What Slurm does to a job is told with its reason, and the same command goes on"


@pytest.fixture(scope="module", autouse=True)
def slurm(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("slurm")):
        yield


def until(found):
    """Wait until a function finds something, and return that."""
    deadline = time.monotonic() + 180
    while not (value := found()):
        assert time.monotonic() < deadline, subprocess.check_output(["squeue", "--states=all"], text=True)
        time.sleep(0.05)
    return value


def stopped(folder, methods):
    """The process of each method's cell, stopped once it has a checkpoint. Slurm wakes what it wants to end."""
    jobs, waiting = {}, set(methods)

    def all_found():
        for method in list(waiting):
            for path in folder.glob(f"outputs/runs/*.{method}.*/checkpoints/checkpoint-*"):
                process = psutil.Process(json.loads((path.parents[1] / "state.json").read_text())["pid"])
                process.suspend()
                jobs[method] = process
                waiting.discard(method)
                break
        return not waiting

    until(all_found)
    return jobs


def queue(*command):
    subprocess.run(command, check=True)


def records(folder):
    found = [json.loads(path.read_text()) for path in folder.glob("outputs/demo/runs/*/*/*.json")]
    return {record["cell"].split(".")[2]: record for record in found}


def test_jobs_of_an_array(tmp_path, tally):
    """Of three jobs one is cancelled, one requeued by Slurm and one reaches its time limit."""
    table = [*TABLE, "hydra.launcher.timeout_min=10", "hydra.launcher.signal_delay_s=300"]
    process = start(tmp_path, *table)
    jobs = stopped(tmp_path, ["lora-r1", "dcft-k8", "dcft-k2"])
    numbers = {m: "{SLURM_ARRAY_JOB_ID}_{SLURM_ARRAY_TASK_ID}".format(**jobs[m].environ()) for m in jobs}
    queue("scancel", numbers["lora-r1"])
    queue("scontrol", "requeue", numbers["dcft-k8"])
    queue("scontrol", "update", f"JobId={numbers['dcft-k2']}", "TimeLimit=5")  # Slurm warns it at its next look
    output, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (1, ""), output
    assert "1 done, 2 interrupted" in output
    reasons = {line for line in output.splitlines() if "Slurm job" in line}
    assert any("ended: CANCELLED; its log is outputs/launcher/" in line for line in reasons), reasons
    assert any("reached its time limit; hydra.launcher.timeout_min= gives more" in line for line in reasons), reasons
    assert records(tmp_path)["dcft-k8"]["resumed_from"] >= 100

    again = start(tmp_path, *table)
    output, errors = again.communicate(timeout=300)
    assert (again.returncode, errors) == (0, ""), output
    assert "3 cells, 1 done, 2 to run, 2 of them interrupted" in output
    found = records(tmp_path)
    lost = [method for method in jobs if not (found[method]["attempts"] == 2 and found[method]["resumed_from"] >= 100)]
    tally(PROMISE, "scancel, scontrol requeue and the time limit", 3, lost)


def test_a_job_outlives_its_sweep_and_a_preemption(tmp_path, tally):
    """SIGUSR2 is Slurm's warning before it takes the node: submitit puts the job back, with a checkpoint."""
    table = [*TABLE, "methods=lora"]
    process = start(tmp_path, *table)
    job = stopped(tmp_path, ["lora-r1"])["lora-r1"]
    process.kill()
    queue("scancel", "--signal=USR2", job.environ()["SLURM_JOB_ID"])
    job.resume()
    until(lambda: not subprocess.check_output(["squeue", "--noheader"]))
    plan = subprocess.run([sys.executable, *table, "dry=true"], cwd=tmp_path, capture_output=True, text=True)
    assert "1 cells, 1 done, 0 to run" in plan.stdout
    record = records(tmp_path)["lora-r1"]
    lost = [] if record["attempts"] == 2 and record["resumed_from"] % 100 else [str(record["resumed_from"])]
    tally(PROMISE, "SIGKILL to the sweep, then SIGUSR2 to its job", 1, lost)
