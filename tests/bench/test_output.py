"""The committed pages of all measurements."""

import importlib
import json

import pytest

from bench.command import MEASUREMENTS
from bench.output import render
from tests.conftest import ROOT

REPORTS = [path.with_suffix(".json") for path in sorted((ROOT / "results" / "bench").glob("*.md"))]


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_a_committed_page_is_computed_from_the_json_beside_it(path):
    module, _ = MEASUREMENTS[path.stem.partition("-")[0]]
    report = json.loads(path.read_text())
    assert render(report, importlib.import_module(module).page) == path.with_suffix(".md").read_text()


@pytest.mark.parametrize(
    ("device", "gpu", "machine"),
    [
        ("cpu", None, "a processor, 2 cores, 1 thread"),
        ("cpu", "a GPU", "a processor, 2 cores, 1 thread"),
        ("cuda", "a GPU", "a GPU, 2 cores"),
        (None, "a GPU", "a GPU, 2 cores"),
    ],
)
def test_a_page_names_the_device_that_was_measured(device, gpu, machine):
    hardware = {"cpu": "a processor", "cores": 2, "threads": 1, "gpu": gpu}
    settings = {"device": device} if device else {}
    report = {"settings": settings, "hardware": hardware, "versions": {"torch": "2.0"}}
    assert render(report, lambda report: ["a table"]) == f"a table\n\nMeasured on {machine}; PyTorch 2.0.\n"
