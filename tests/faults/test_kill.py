"""A run is killed before each file-system operation of its life in turn, and at random moments; then it goes on.

The record, the predictions and the model are those of a run that nobody killed, and nothing else is left.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import ROOT
from tests.faults.conftest import ALL, CELL, difference, left

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")]
OPERATIONS, MOMENTS = 12, 2  # of the choice
PROMISE = "A killed run goes on and ends the same, bit for bit"


class Forks:
    """See tests/faults/forks.py."""

    def __init__(self, library):
        command = [sys.executable, "-m", "tests.faults.forks", *CELL]
        environment = os.environ | {"LD_PRELOAD": str(library)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes)

    def __call__(self, folder, **fault):
        self.process.stdin.write(json.dumps({"folder": str(folder), **fault}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("kill") / "kill.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", path, ROOT / "tests" / "faults" / "kill.c", "-ldl"], check=True)
    return path


@pytest.fixture
def forks(library):
    started = [Forks(library) for _ in range(2)]
    yield started
    for server in started:
        server.process.stdin.close()
        server.process.wait()


def survives(server, folder, expected, **fault):
    """Kill a run and start it again; returns what is wrong then."""
    folder.mkdir()
    killed = server(folder, **fault)
    again = server(folder)
    wrong = again.get("error") or difference(left(folder), expected)
    shutil.rmtree(folder)
    return wrong and f"{fault}: {killed}: {wrong}"


def both(forks, tmp_path, expected, faults):
    """Share faults between two servers; returns what was lost."""

    def work(number):
        mine = faults[number::2]
        return [survives(forks[number], tmp_path / f"{number}-{i}", expected, **fault) for i, fault in enumerate(mine)]

    with ThreadPoolExecutor(2) as pool:
        return [wrong for part in pool.map(work, range(2)) for wrong in part if wrong]


@pytest.fixture
def straight(forks, tmp_path):
    """A run that nobody kills: what it leaves, its operations, and its seconds once everything is loaded."""
    for server in forks:
        for name in ("cold", "warm"):
            (tmp_path / name).mkdir()
            started = time.monotonic()
            ended = server(tmp_path / name, operation=0)
            seconds = time.monotonic() - started
            assert "error" not in ended, ended
            expected = left(tmp_path / name)
            shutil.rmtree(tmp_path / name)
    return expected, ended["operations"], seconds


def test_a_killed_run(forks, straight, tmp_path, tally):
    expected, operations, seconds = straight
    assert operations > 300
    chosen = range(1, operations + 1)
    if not ALL:
        chosen = random.Random(0).sample(chosen, OPERATIONS)
    lost = both(forks, tmp_path, expected, [{"operation": number} for number in chosen])
    tally(PROMISE, "SIGKILL before a file-system operation", len(chosen), lost)
    moments = 20 if ALL else MOMENTS
    times = [random.Random(number).uniform(0, seconds) for number in range(moments)]
    lost = both(forks, tmp_path, expected, [{"seconds": moment} for moment in times])
    tally(PROMISE, "SIGKILL at a random moment", moments, lost)
