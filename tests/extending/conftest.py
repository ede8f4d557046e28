"""Follow docs/extending.md: its files in a folder of one's own, its commands shortened and run within this process."""

import os
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from dcft.results import protocols
from dcft.views import figures
from tests.conftest import ROOT, SHORT

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`\$MINE/([^`]+)`:\n\n```\w+\n(.*?)^```", PAGE, re.M | re.S))
ROWS = {"WNLI": ("0", "1"), "RTE": ("entailment", "not_entailment")}


def commands(heading: str) -> list[str]:
    """The `python` commands of a section."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    return re.findall(r"^python .*", section, re.M)


class Follower:
    """Someone with a folder of their own, who works where `home` is."""

    def __init__(self, home: Path):
        self.home, self.mine, self.data = home, home / "mine", home / "data"
        for name, text in FILES.items():
            path = self.mine / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        for folder, labels in ROWS.items():
            path = self.data / "glue" / folder
            path.mkdir(parents=True)
            for split in ("train", "dev"):
                lines = [f"{i}\tHe saw {i}.\tAnn saw {i}.\t{labels[i % 3 % 2]}" for i in range(64)]
                (path / f"{split}.tsv").write_text("\n".join(["index\tsentence1\tsentence2\tlabel", *lines]) + "\n")

    @property
    def conf(self) -> Path:
        return self.mine / "conf"

    def run(self, command: str, *more: str) -> None:
        """A command of the page, or one that a table has printed; status 0, else the test fails."""
        command = command.replace("PATH", str(self.data)).replace("minilm-l6", "tiny-bert")
        _, script, *arguments = shlex.split(command.replace("$MINE", str(self.mine)))
        script = ROOT / script  # a script of one's own is absolute and stays as it is
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.home)
            patch.setattr(sys, "argv", [str(script), *arguments, *more])
            patch.syspath_prepend(self.mine)
            patch.setenv("PYTHONPATH", f"{self.mine}:{os.environ.get('PYTHONPATH', '')}")  # for the table's workers
            patch.setenv("HYDRA_FULL_ERROR", "")  # run.py sets it
            patch.delenv("HYDRA_FULL_ERROR")
            patch.setitem(figures.KINDS, "memory", None)  # so that it is taken back after a script has added it
            patch.delitem(figures.KINDS, "memory")
            patch.setitem(protocols.PROTOCOLS, "lowest_loss", None)
            patch.delitem(protocols.PROTOCOLS, "lowest_loss")
            runpy.run_path(str(script), run_name="__main__")


@pytest.fixture(scope="session")
def follower(tmp_path_factory):
    return Follower(tmp_path_factory.mktemp("extending"))


@pytest.fixture(scope="session")
def short(follower):
    """Run a command of the page as a run of a few steps."""
    return lambda command, *more: follower.run(command, *SHORT, *more)
