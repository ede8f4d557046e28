"""The same small table on other launchers: a worker's death is told, and the same command ends the table.

The local launcher is in test_command, Slurm in tests/faults/test_slurm.py.
"""

import json
import signal

import joblib
import pytest

from tests.sweep.test_command import FAULTS, PAIR, stored

pytestmark = pytest.mark.slow
LAUNCHERS = {
    "joblib": ["hydra.launcher.n_jobs=2"],
    "submitit_local": [],
    "ray": ["+hydra.launcher.ray.init.num_cpus=2", "+hydra.launcher.ray.remote.max_retries=0"],
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_cell_that_kills_its_worker_is_named_and_the_rest_is_done(command, tmp_path, launcher):
    extra = launcher.partition("_")[0]
    pytest.importorskip(f"hydra_plugins.hydra_{extra}_launcher", reason=f"needs the launcher {extra}")
    table = [*PAIR, f"hydra/launcher={launcher}", *LAUNCHERS[launcher]]
    ended = command(*table, **FAULTS)
    assert ended.returncode == 1
    (missing,) = [line for line in ended.stdout.splitlines() if line.startswith("missing: ")]
    assert " kernel=8 " in missing
    left = stored(tmp_path)
    assert len(left) == 2
    if launcher != "submitit_local":  # two at once, each with half of the threads
        threads = {json.loads(record)["hardware"]["threads"] for record in left.values()}
        assert 2 * max(threads) <= max(joblib.cpu_count(), 2)
    again = command(*table)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "3 cells, 2 done, 1 to run" in again.stdout
    done = stored(tmp_path)
    assert len(done) == 3
    assert all(done[path] == content for path, content in left.items())


def test_a_node_that_joined_a_ray_cluster_runs_cells_in_the_sweep_s_folder(command, tmp_path, monkeypatch):
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="needs the launcher ray")
    from ray.cluster_utils import Cluster

    (tmp_path / "node").mkdir()
    monkeypatch.chdir(tmp_path / "node")
    handler = signal.getsignal(signal.SIGTERM)  # Ray sets its own
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        ray = [f"+hydra.launcher.ray.init.address={cluster.address}"]
        ray += ["+hydra.launcher.ray.init.object_store_memory=null"]
        ended = command(*PAIR, "methods=lora", "hydra/launcher=ray", *ray)
    finally:
        cluster.shutdown()
        signal.signal(signal.SIGTERM, handler)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(stored(tmp_path)) == 1
