"""The audit's reports: printed, written, and current in results/audit."""

import shutil
import subprocess

import pytest

from dcft.errors import UserError
from dcft.paper.printed import PAPER
from dcft.views.audit import write
from tests.conftest import ROOT

NAMES = ["findings.md", "findings.tex", "parameters.md", "parameters.tex"]


def test_the_script_prints_and_writes_the_reports(script, tmp_path):
    done = script("audit", "--paper", PAPER, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-4:] == [str(tmp_path / "out" / name) for name in NAMES]
    assert "mean time of deberta-v3-base DCFT d=8" in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == NAMES


def test_the_reports_in_the_repository_are_current(audited, tmp_path):
    for path in write(audited, tmp_path):
        assert path.read_text() == (ROOT / "results" / "audit" / path.name).read_text(), "run `make audit`"


def test_a_bad_file_ends_the_script_in_one_line_with_nothing_written(script, copy, tmp_path):
    path = copy / "table7.csv"
    path.write_text(path.read_text() + "RTE,Acc\n")
    done = script("audit", "--paper", copy, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {path}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_one_line(audited, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UserError, match=r"out cannot be written \(File exists\); give another folder with --out$"):
        write(audited, tmp_path / "out")


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
@pytest.mark.parametrize("name", ["findings", "parameters"])
def test_latex_compiles(audited, tmp_path, name):
    write(audited, tmp_path)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
