"""A Slurm cluster of one node on this machine: its own configuration, ports and folders, no munge, no accounting."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

# Credentials live for seconds, because Slurm starts a requeued job only after those of its last start have expired.
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
KillWait=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=cpu Nodes=ALL Default=YES State=UP
"""


def install() -> None:
    """Install Debian's Slurm if there is none; skip the test where that is impossible."""
    with FileLock("/tmp/dcft-tests-slurm.lock"):  # of all workers of pytest-xdist
        if shutil.which("slurmctld") and shutil.which("slurmd"):
            return
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            pytest.skip("needs Slurm (slurmctld, slurmd), or root on Debian to install it")
        for command in (["update"], ["install", "-y", "--no-install-recommends", "slurm-wlm"]):
            try:
                done = subprocess.run(
                    ["apt-get", "-q", *command],
                    env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
                    capture_output=True,
                    text=True,
                    timeout=180,
                )
            except subprocess.TimeoutExpired:
                pytest.skip(f"apt-get {command[0]} did not end in 180 s")
            if done.returncode:
                pytest.skip(f"apt-get {command[0]}: {done.stderr.strip()[-200:]}")


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """Start a cluster, to which SLURM_CONF points, with a partition `cpu` of four CPUs, however many there are."""
    install()
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    for name in ("state", "spool"):
        (folder / name).mkdir()
    config = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    config.write_text(CONFIG.format(host=host, ports=ports, user=getpass.getuser(), folder=folder))
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(config)
    daemons = [
        subprocess.Popen([name, "-D", "-L", folder / f"{name}.log"], stderr=subprocess.DEVNULL, start_new_session=True)
        for name in ("slurmctld", "slurmd")
    ]
    try:
        deadline = time.monotonic() + 90
        while "idle" not in subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True).stdout:
            if time.monotonic() > deadline:
                logs = [path.read_text()[-500:] for path in folder.glob("*.log")]
                raise AssertionError("Slurm did not start: " + "\n".join(logs))
            time.sleep(0.2)
        yield
        subprocess.run(["scancel", "--me", "--full"], check=True)
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(60)
        os.environ.pop("SLURM_CONF")
        if before is not None:
            os.environ["SLURM_CONF"] = before
