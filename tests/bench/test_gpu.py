"""`python scripts/bench gpu`: items that go on where they stopped, and advice that follows from measurements."""

import json
import subprocess
import sys

import pytest
import torch

from bench import command, gpu, options
from bench.gpu import advice, items, plan, summary
from bench.gpu.plan import Item
from dcft.errors import UserError
from dcft.paper import flops
from dcft.paper.counts import SHAPES
from tests.conftest import ROOT

MADE_WITH = {"hardware": {"cpu": "a processor", "cores": 4, "gpu": "a GPU"}, "versions": {"torch": "2.0"}, "git": None}


def options_report(batch: int = 32, **ms: float) -> dict:
    """An invented result of `scripts/bench options`; `ms` by the first letters of what is switched on."""
    names = {"".join(setting[0] for setting in settings) or "none": name for name, settings in options.OPTIONS.items()}
    return {
        "settings": {"model": "deberta-v3-base", "batch": batch, "length": 128},
        "ms": {names[letters]: [time, time] for letters, time in ms.items()},
        "memory": {names[letters]: {"held": 10**6, "step": 10**6} for letters in ms},
        "skipped": {},
        **MADE_WITH,
    }


def replicas_report(ratio: float) -> dict:
    settings = {"model": "deberta-v3-base", "batch": 32, "length": 64, "precision": "bf16"}
    memory = {name: {"held": 1, "step": 1} for name in ("alone", "4")}
    return {"settings": settings, "ms": {"alone": [10.0], "4": [40 * ratio]}, "memory": memory, **MADE_WITH}


def sweep_report(at_once: int, wall: float) -> dict:
    sweep = {"at_once": at_once, "wall_s": wall, "samples_per_s": 10, "peak_memory_mb": 100}
    return {"settings": {"cells": 8, "model": "tiny-bert"}, "sweeps": [sweep], **MADE_WITH}


def result(part: str, report: dict | None, failure: str | None = None, item: str = "an-item") -> dict:
    return {"part": part, "item": item, "report": report, "failure": failure, "complete": True}


def given(*results: dict) -> dict[str, dict]:
    """The advice, by setting."""
    lines = summary.collect(list(results))["advice"]
    return {line["setting"]: line for line in lines if line["verdict"] != "fastest"}


def fastest(*results: dict) -> list[str]:
    """The combination of options that is advised for each item."""
    return [line["setting"] for line in summary.collect(list(results))["advice"] if line["verdict"] == "fastest"]


@pytest.fixture
def planned(monkeypatch):
    """Three items, and the seconds that each may take; running one takes none of them."""
    three = [Item("options", f"options-{n}", (f"{n}",)) for n in range(3)]
    monkeypatch.setattr(gpu, "all_items", lambda device: three)
    ran = []

    def run(item, seconds):
        ran.append(item.name)
        return outcomes.get(item.name, result("options", options_report(none=10.0, p=5.0)))

    outcomes: dict[str, dict | None] = {}
    monkeypatch.setattr(items, "run", run)
    return ran, outcomes


def call(tmp_path, *given: str) -> dict:
    command.main(["gpu", "--device", "cpu", "--output", str(tmp_path), *given])
    return json.loads((tmp_path / "gpu-trial.json").read_text())


def test_an_item_that_has_its_file_is_not_run_again(tmp_path, planned, capsys):
    ran, outcomes = planned
    outcomes["options-0"] = result("tests", {"passed": 1, "failed": [], "skipped": {}})
    report = call(tmp_path)
    assert ran == ["options-0", "options-1", "options-2"]
    (tmp_path / "gpu-trial-options-1.json").unlink()
    assert call(tmp_path)["options"] == report["options"]
    assert ran[3:] == ["options-1"]
    assert report["hardware"]["gpu"] == "a GPU", "the machine that was measured, not the one that prints the table"
    assert capsys.readouterr().out.endswith("3 of 3 items done\n")


def test_an_item_that_the_time_cuts_off_is_begun_anew_and_one_that_takes_too_long_is_not(tmp_path, planned, capsys):
    ran, outcomes = planned
    outcomes["options-1"] = None
    call(tmp_path)
    assert ran == ["options-0", "options-1"]
    assert capsys.readouterr().out.endswith("1 of 3 items done; the same command goes on\n")
    report = call(tmp_path)
    assert ran[2:] == ["options-1", "options-2"]
    assert report["failures"] == [{"item": "options-1", "failure": "takes longer than 8 minutes"}]


def test_one_part_is_run_and_the_table_is_made_of_all(tmp_path, planned, capsys):
    ran, _ = planned
    call(tmp_path)
    call(tmp_path, "--part", "steps")
    call(tmp_path, "--part", "table")
    assert len(ran) == 3
    printed, page = capsys.readouterr().out, (tmp_path / "gpu-trial.md").read_text()
    assert "| `precision=bf16` |" in printed
    assert "| `precision=bf16` |" in page
    assert "| Tokens/s |" in page
    assert "| Tokens/s |" not in printed


def test_without_a_gpu_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="^make gpu needs a CUDA device, and PyTorch finds none; to try it: .*cpu'$"):
        command.main(["gpu", "--output", str(tmp_path)])
    with pytest.raises(UserError, match=r"has no result gpu-\*\.json; run python scripts/bench gpu first"):
        command.main(["gpu", "--part", "table", "--output", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_each_option_is_judged_by_steps_that_differ_in_it_alone():
    measured = result("options", options_report(none=10, p=5, c=9.8, a=12, cp=4.9, ap=6, ac=11.8, acp=5.7))
    lines = given(measured)
    assert lines["precision=bf16"]["ratio"] == pytest.approx(0.5, abs=0.02)
    assert lines["precision=bf16"]["verdict"] == "on"
    assert lines["compile=true"]["verdict"] == "off"
    assert lines["attention=flash"]["ratio"] == pytest.approx(1.2, abs=0.02)
    assert lines["attention=flash"]["verdict"] == "off"
    assert fastest(measured) == ["compile=true precision=bf16"]


def test_an_option_whose_tests_fail_is_not_recommended():
    tests = {"passed": 1, "failed": ["a test"], "skipped": {}}
    failed = result("tests", tests, item=advice.TESTS[options.BF16])
    fast = result("options", options_report(none=10, p=5))
    assert given(failed, fast)["precision=bf16"]["verdict"] == "off: its tests fail"
    assert (fastest(failed, fast), fastest(fast)) == ([options.DEFAULT], ["precision=bf16"])


def test_the_tests_that_rule_an_option_out_are_items():
    assert set(advice.TESTS) == {setting for settings in options.OPTIONS.values() for setting in settings}
    assert {*advice.TESTS.values()} <= {item.name for item in plan.all_items("cuda")}


def test_batches_cells_and_seeds_are_judged_by_their_throughput():
    measured = [result("options", options_report(batch, none=ms)) for batch, ms in ((8, 10.0), (32, 20.0), (128, 79.0))]
    measured += [result("sweep", sweep_report(n, wall)) for n, wall in ((1, 100.0), (2, 70.0), (4, 80.0))]
    lines = given(*measured, result("replicas", replicas_report(0.5)))
    assert (lines["batch of 32"]["ratio"], lines["batch of 32"]["verdict"]) == (pytest.approx(0.5), "pays")
    assert lines["batch of 128"]["verdict"] == "32 fills the device"
    assert lines["hydra.launcher.n_jobs=2"]["ratio"] == pytest.approx(0.7)
    assert lines["4 seeds in one step"]["verdict"] == "worth a feature"
    lines = given(*measured, result("replicas", replicas_report(0.65)))
    assert lines["4 seeds in one step"]["verdict"] == "not worth a feature", "two cells at once do nearly as well"


def test_what_was_not_measured_is_not_recommended():
    assert given() == {}
    assert given(result("options", None, failure="out of memory")) == {}
    assert given(result("replicas", replicas_report(0.5))) == {}, "cells at once may do better"
    assert given(result("sweep", sweep_report(1, 100))) == {}


def test_operations_are_those_of_the_products():
    shape = SHAPES["roberta-large"]
    weights = 12 * 1024**2 * 24
    attention = 2 * 2 * 8 * 100 * 100 * 1024 * 24
    assert flops.forward(shape, 8, 100) == 2 * 800 * weights + attention
    assert flops.step(shape, 8, 100) == 2 * (2 * 800 * weights) + 3 * attention
    assert flops.step(shape, 8, 100, backbone_trains=True) == 3 * flops.forward(shape, 8, 100)


def test_the_mfu_is_of_the_rate_in_the_same_precision():
    row = {"name": "frozen", "title": "", "ms": [100.0], "memory": {"held": 1, "step": 1}}
    settings = {"model": "roberta-large", "layers": 24, "batch": 8, "length": 100, "precision": "bf16"}
    parts = [
        {"name": name, "floor": floor, "rows": [row | {"name": floor}]}
        for name, floor in (("step", "frozen"), ("evaluation", "bare"))
    ]
    steps = {"settings": settings, "parts": parts}
    step, forward = flops.step(SHAPES["roberta-large"], 8, 100), flops.forward(SHAPES["roberta-large"], 8, 100)
    peak = {"rates": {"fp32": 1.0, "bf16": 20 * step}}
    lines = summary.collect([result("steps", peak), result("steps", steps)])["steps"]
    assert [line["mfu"] for line in lines] == pytest.approx([0.5, 0.5 * forward / step])
    lines = summary.collect([result("steps", steps)])["steps"]
    assert [line["mfu"] for line in lines] == [None, None]


def test_every_item_has_a_name_of_its_own_and_a_command_that_is_accepted():
    planned = plan.all_items("cuda")
    assert len({item.name for item in planned}) == len(planned)
    assert {item.part for item in planned} == set(plan.PARTS)
    for item in planned:
        if item.part != "tests":
            command.parse([*item.words[1:], *item.fallback])


def test_the_shapes_are_those_of_the_official_scripts(recipes):
    for model, shapes in plan.SHAPES.items():
        assert {*shapes, plan.COMMON} == recipes(model) | {plan.COMMON}


@pytest.fixture
def recipes():
    """Batch sizes and lengths of a backbone's rows in conf/recipe/script."""
    from omegaconf import OmegaConf

    def read(model: str) -> set[tuple[int, int]]:
        folder = ROOT / "conf" / "recipe" / "script"
        folder = folder if model == "deberta-v3-base" else folder / "backbone" / model
        rows = [OmegaConf.load(path) for path in folder.glob("*.yaml")]
        return {(row.batch_size, row.max_length) for row in rows if "max_length" in row}

    return read


def test_a_command_that_fails_leaves_its_last_line_and_one_that_takes_too_long_nothing():
    def item(code: str) -> Item:
        return Item("steps", "an-item", ("-c", code))

    failed = items.run(item("print('first'); raise SystemExit('error: no such thing')"), 60)
    assert (failed["report"], failed["failure"]) == (None, "error: no such thing")
    assert items.run(item("import time; time.sleep(60)"), 0.2) is None


def test_a_command_that_runs_out_of_memory_is_given_fewer_rows():
    code = (
        "import sys, pathlib\n"
        "if 'few' not in sys.argv: sys.exit('torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB')\n"
        "pathlib.Path(sys.argv[-1], 'x.json').write_text('{\"rows\": 3}')"
    )
    found = items.run(Item("steps", "an-item", ("-c", code), fallback=("few",)), 60)
    assert (found["report"], found["failure"], found["complete"]) == ({"rows": 3}, None, False)


def test_outcomes_of_tests_are_read(tmp_path):
    cases = {"good": "", "bad": "<failure/>", "broken": "<error/>", "not": '<skipped message="needs a CUDA device"/>'}
    lines = [f'<testcase classname="a" name="{name}">{inside}</testcase>' for name, inside in cases.items()]
    path = tmp_path / "tests.xml"
    path.write_text(f"<testsuites><testsuite>{''.join(lines)}</testsuite></testsuites>")
    outcomes = {"passed": 1, "failed": ["a::bad", "a::broken"], "skipped": {"a::not": "needs a CUDA device"}}
    assert items.read_tests(path) == outcomes


@pytest.mark.slow
def test_there_is_an_item_for_every_file_with_tests_that_need_a_gpu():
    words = [sys.executable, "-m", "pytest", "-n", "0", "-m", "gpu", "--collect-only"]
    collected = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.partition("::")[0] for line in collected.splitlines() if "::" in line} == {*plan.test_files()}


@pytest.mark.slow
def test_every_part_runs_on_a_cpu(tmp_path):
    report = call(tmp_path)
    assert report["settings"]["done"] == report["settings"]["of"]
    assert all(report[part] for part in plan.PARTS)
    assert not report["failures"]
    assert {line["setting"] for line in report["advice"]} >= {"precision=bf16", "attention=flash"}
