"""The suite's options on one training step."""

import json

import pytest

from bench import command, options
from bench.step.workload import Workload
from tests.conftest import ROOT

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture
def measured(tmp_path):
    """Measure on a tiny backbone; returns the report and the page."""

    def run(model: str = "tiny-deberta", *more: str) -> tuple[dict, str]:
        small = ["--batch", "2", "--length", "16", "--rounds", "2", "--warmup", "1", "--device", "cpu"]
        given = ["options", "--model", model, "--without", options.COMPILE, *more, *small, "--output", str(tmp_path)]
        command.main(given)
        path = tmp_path / f"options-{model}-b2x16-cpu.json"
        return json.loads(path.read_text()), path.with_suffix(".md").read_text()

    return run


def test_every_combination_is_measured(measured):
    pytest.importorskip("disentangled_flash", reason="needs the kernels' package: pip install -e .[flash]")
    report, page = measured()
    combinations = [options.DEFAULT, "precision=bf16", "attention=flash", "attention=flash precision=bf16"]
    assert list(report["ms"]) == combinations
    assert all(len(times) == 2 for times in report["ms"].values())
    assert report["skipped"] == {"compile=true": "left out"}
    assert "| attention=flash precision=bf16 |" in page


def test_a_backbone_without_an_option_has_the_others(measured):
    report, page = measured("tiny-bert")
    assert list(report["ms"]) == [options.DEFAULT, "precision=bf16"]
    assert "- attention=flash was not measured: it is DeBERTa's." in page


def test_a_row_that_fails_leaves_the_others(measured, monkeypatch):
    step = Workload.__call__

    def fail(self):
        if self.bf16:
            raise RuntimeError("out of memory\nand more")
        step(self)

    monkeypatch.setattr(Workload, "__call__", fail)
    report, _ = measured("tiny-bert")
    assert list(report["ms"]) == [options.DEFAULT]
    assert report["skipped"]["precision=bf16"] == "out of memory"


def test_flash_attention_with_other_outputs_is_not_measured(measured, monkeypatch):
    pytest.importorskip("disentangled_flash", reason="needs the kernels' package: pip install -e .[flash]")
    logits = Workload.logits
    monkeypatch.setattr(Workload, "logits", lambda self: logits(self) * (1.1 if self.name == options.FLASH else 1))
    report, _ = measured()
    assert "attention=flash" not in report["ms"]
    assert report["skipped"]["attention=flash"] == "its outputs differ by 1e-01 of the largest"


def test_the_names_are_settings_of_the_suite():
    text = (ROOT / "conf" / "config.yaml").read_text()
    for setting in {setting for settings in options.OPTIONS.values() for setting in settings}:
        name, value = setting.split("=")
        assert any(line.startswith(f"{name}: ") and value in line or value == "true" for line in text.splitlines())
