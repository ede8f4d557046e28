"""Numbers in the documentation are those of the models."""

import re

import pytest

from dcft.views.audit import KINDS
from tests.conftest import MORE_METHODS, PAPER_METHODS, ROOT
from tests.paper.test_counts import prepared

ROW = re.compile(r"^\| `(\w+)` \|.*?\| ([\d,]+) \|", re.MULTILINE)
COUNTS = {name: int(n.replace(",", "")) for name, n in ROW.findall((ROOT / "docs" / "methods.md").read_text())}


def test_every_method_has_a_row():
    assert list(COUNTS) == PAPER_METHODS + MORE_METHODS


@pytest.mark.parametrize("method", COUNTS)
def test_the_count_of_each_method_is_the_model_s(method):
    assert prepared("deberta-v3-base", "task=rte", f"method={method}", layers=12).params.adapter == COUNTS[method]


NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?[Mkxh]?"
AUDIT = (ROOT / "docs" / "audit.md").read_text()
README = (ROOT / "README.md").read_text()


def test_every_kind_of_finding_is_explained():
    table = AUDIT.split("## What is checked")[1].split("## ")[0]
    assert re.findall(r"^\| ([a-z ]+) \|", table, re.MULTILINE)[1:] == list(KINDS)


@pytest.mark.parametrize("told", [AUDIT.split("## What it found")[1], README.split("## What the audit found")[1]])
def test_numbers_told_of_the_audit_are_those_that_it_found(told):
    reports = "".join((ROOT / "results" / "audit" / name).read_text() for name in ("findings.md", "parameters.md"))
    found = set(re.findall(NUMBER, reports))
    assert set(re.findall(NUMBER, told.split("\n## ")[0])) <= found


def test_scores_told_of_own_runs_are_those_of_the_results_page():
    told = re.findall(r"\d+\.\d+", README.split("## Runs so far")[1].split("\n## ")[0])
    assert set(told) <= set(re.findall(r"\d+\.\d+", (ROOT / "docs" / "results.md").read_text()))
    assert told
