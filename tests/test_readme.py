"""The README's commands, paths and targets exist."""

import re
import subprocess

import pytest

from tests.conftest import ROOT, configure

README = (ROOT / "README.md").read_text()
COMMANDS = sorted(set(re.findall(r"python run\.py ([^\n`#]+?)\s*(?:#.*)?$", README, re.M)))
CELLS = [c for c in COMMANDS if not re.search(r"PATH|FOLDER|table=|--", c)]


def test_there_are_commands_to_check():
    assert len(CELLS) >= 2


@pytest.mark.parametrize("command", CELLS)
def test_commands_compose(command):
    assert configure(*command.split()).cell


def test_targets_of_make_exist():
    named = sorted(set(re.findall(r"make ([a-z][a-z0-9-]+)", README)))
    assert {"demo", "test", "table4", "tables"} <= set(named)
    subprocess.run(["make", "--dry-run", *named], cwd=ROOT, check=True, capture_output=True)


def test_paths_to_open_exist():
    table = README.split("## To change X, open Y")[1].split("\n## ")[0]
    paths = re.findall(r"`((?:dcft|conf|hydra_plugins)/[^`]+)`", table)
    assert len(paths) > 15
    for path in paths:
        pattern = re.sub(r"[A-Z]{2,}", "*", path)
        assert list(ROOT.glob(pattern)), path
