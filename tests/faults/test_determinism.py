"""The same cell gives the same record, predictions and model wherever and however it runs on one machine."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.faults.conftest import ALL, CELL, difference, left

pytestmark = pytest.mark.slow
PROMISE = "The same cell on the same machine ends the same, bit for bit"
PLAIN = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}  # ASCII is then the encoding of files, too
CHANGES = {
    "nothing": {},
    "the locale": {"environment": PLAIN},
    "the hash seed": {"environment": {"PYTHONHASHSEED": "7"}},
    "the umask": {"umask": 0o077},
    "the working directory": {"elsewhere": True},
    "all of these": {"environment": PLAIN | {"PYTHONHASHSEED": "8"}, "umask": 0o077, "elsewhere": True},
    "a clock that jumps": {"clock": True},
}


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    if not shutil.which("gcc"):
        pytest.skip("needs gcc")
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-o", library, ROOT / "tests" / "faults" / "clock.c", "-ldl"], check=True
    )
    return str(library)


def result(folder, preload=None, environment=None, umask=-1, elsewhere=False, clock=False):
    """What the cell leaves in a folder of its own."""
    folder.mkdir()
    settings = CELL
    if elsewhere:
        settings = [*CELL[:-2], f"results.dir={folder}/results", f"outputs.dir={folder}/outputs"]
    more = (environment or {}) | ({"LD_PRELOAD": preload} if clock else {})
    subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *settings],
        cwd=folder.parent if elsewhere else folder,
        env=os.environ | more,
        umask=umask,
        check=True,
        capture_output=True,
    )
    return left(folder)


def test_the_same_cell(tmp_path, clock, tally):
    expected = result(tmp_path / "first")
    chosen = list(CHANGES) if ALL else ["all of these", "a clock that jumps"]
    lost = []
    for change in chosen:
        wrong = difference(result(tmp_path / change.replace(" ", "-"), clock, **CHANGES[change]), expected)
        lost += [f"{change}: {wrong}"] if wrong else []
    tally(
        PROMISE, "another folder, locale, hash seed, umask, working directory, or a clock that jumps", len(chosen), lost
    )
