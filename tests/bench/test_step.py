"""`python scripts/bench step`: its tables, its files, and what it refuses."""

import copy
import json
import os
import subprocess
import sys

import pytest
from bench import step
from bench.step import table

from dcft.errors import UserError
from tests.conftest import ROOT

RESULT = {  # invented times
    "measurement": "step",
    "settings": {
        "model": "deberta-v3-base",
        "layers": 4,
        "of_layers": 12,
        "batch": 8,
        "length": 128,
        "device": "cpu",
        "precision": "fp32",
        "attention": "lean",
        "compile": False,
        "complete": True,
        "rounds": 3,
        "warmup": 1,
    },
    "hardware": {"cpu": "a processor", "threads": 2, "gpu": None},
    "versions": {"torch": "2.0"},
    "git": None,
    "parts": [
        {
            "name": "step",
            "floor": "frozen",
            "rows": [
                {
                    "name": "frozen",
                    "title": "Frozen backbone",
                    "ms": [100.0, 200.0, 400.0],
                    "memory": {"held": 3_000_000, "step": 1_000_000},
                    "parameters": {"adapter": 0, "head": 592_130},
                },
                {
                    "name": "dcft-d8",
                    "title": "DCFT d=8",
                    "ms": [110.0, 240.0, 416.0],
                    "memory": {"held": 3_000_000, "step": 2_000_000},
                    "parameters": {"adapter": 8448, "head": 592_130},
                },
            ],
        },
        {"name": "evaluation", "floor": "bare", "rows": [{"name": "bare", "title": "Bare backbone", "ms": [10.0] * 3}]},
        *(
            {
                "name": "layer",
                "matrix": matrix,
                "size": size,
                "floor": "frozen",
                "rows": [
                    {"name": "frozen", "title": "No adapter", "ms": [1.0, 1.0, 1.0]},
                    {"name": "dcft-d8", "title": "DCFT d=8", "ms": [1.5, 1.25, 2.0]},
                ],
            }
            for matrix, size in (("attention_output", [768, 768]), ("output", [3072, 768]))
        ),
    ],
}


def lines(text: str) -> list[list[str]]:
    """The cells of every line of every table in Markdown."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_tables_are_computed_from_the_times():
    text = table.markdown(table.grids(RESULT))
    assert ["Frozen backbone", "200.0", "1.00", "1.00-1.00", "5,120", "4", "0"] in lines(text)
    assert ["DCFT d=8", "240.0", "1.10", "1.07-1.15", "4,267", "5", "8,448"] in lines(text)
    assert ["Bare backbone", "10.0", "1.00", "1.00-1.00", "102,400"] in lines(text)
    assert ["DCFT d=8", "1.5", "1.50", "1.5", "1.50"] in lines(text)
    assert "deberta-v3-base (4 of 12 layers, random weights), batch 8 x 128, fp32, lean attention" in text
    assert "a processor, 2 threads; PyTorch 2.0; median of 3 interleaved rounds" in text
    assert "each row trains 592,130" in text


def test_ratios_may_be_to_another_row():
    text = table.markdown(table.grids(RESULT, "dcft-d8"))
    assert ["Frozen backbone", "200.0", "0.91", "0.87-0.94", "5,120", "4", "0"] in lines(text)
    assert ["Bare backbone", "10.0", "1.00", "1.00-1.00", "102,400"] in lines(text)  # has no such row
    assert "Ratio: to “DCFT d=8” of the same round" in text


def test_a_gpu_is_named_instead_of_the_processor():
    result = copy.deepcopy(RESULT)
    result["settings"]["device"], result["hardware"]["gpu"] = "cuda", "a GPU"
    text = table.markdown(table.grids(result))
    assert "a GPU; PyTorch" in text
    assert "a processor" not in text


def test_files_of_other_settings_have_other_names():
    names = {step.name(RESULT)}
    for key, value in {
        "model": "minilm-l6",
        "layers": 2,
        "batch": 4,
        "length": 32,
        "device": "cuda",
        "precision": "bf16",
        "attention": "plain",
        "compile": True,
        "complete": False,
    }.items():
        names.add(step.name(RESULT | {"settings": RESULT["settings"] | {key: value}}))
    assert len(names) == 10


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--model", "bert"], "--model bert: give deberta-v3-base, roberta-large, minilm-l6, "),
        (["--rows", "dcft"], "--rows dcft: there is no such row; give some of frozen, "),
        (["--parts", "train"], "--parts train: give step, evaluation, layer"),
        (["--rows", "bare", "--parts", "step"], "--parts step: none has a row of --rows bare"),
        (["--batch", "0"], "--batch 0: give a whole number of at least 1"),
        (["--rounds", "-1"], "--rounds -1: give a whole number of at least 1"),
        (["--length", "128", "513"], "--length 513: give 1 to 512 tokens"),
        (["--device", "tpu"], "--device tpu: give cpu, cuda"),
        (["--precision", "fp16"], "--precision fp16: give fp32, bf16"),
        (["--attention", "fast"], "--attention fast: give lean, plain"),
        (["--layers", "3"], "--layers 3: tiny-deberta has 2"),
        (["--against", "full"], "--against full: give --show FILE as well"),
        (["--show", "missing.json"], "missing.json is no result of scripts/bench step"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments, given, message):
    with pytest.raises(UserError) as error:
        step.main(arguments(*given))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_result_is_refused(tmp_path, arguments):
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"parts": [{"name": "step", "rows": []}]}))
    with pytest.raises(UserError, match="is no result of scripts/bench step"):
        step.main(arguments("--show", str(path)))
    path.write_text(json.dumps(RESULT))
    with pytest.raises(UserError, match=r"--against full: .* has no such row; give one of frozen, dcft-d8, bare"):
        step.main(arguments("--show", str(path), "--against", "full"))


def script(*arguments: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    command = [sys.executable, *python, str(ROOT / "scripts" / "bench"), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def test_help_and_refusals_do_not_load_torch():
    done = script("step", "--model", "bert", python=("-X", "importtime"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: --model bert: give ")
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert "bench.step.rows" in modules
    assert modules.isdisjoint({"torch", "transformers", "peft"})


@pytest.mark.slow
def test_the_command_measures_writes_and_prints(tmp_path):
    settings = ["--model", "tiny-deberta", "--batch", "2", "--length", "8", "16", "--rounds", "2", "--threads", "1"]
    done = script("step", *settings, "--device", "cpu", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    files = sorted(tmp_path.glob("*.json"))
    assert [path.stem for path in files] == [f"step-tiny-deberta-l2-b2x{n}-cpu-fp32" for n in (16, 8)]
    result = json.loads(files[0].read_text())
    assert [part["name"] for part in result["parts"]] == ["step", "evaluation", "layer", "layer", "layer"]
    assert [part["size"] for part in result["parts"][2:]] == [[32, 32], [32, 64], [64, 32]]
    for part in result["parts"]:
        assert part["floor"] == part["rows"][0]["name"]
        assert all(len(row["ms"]) == 2 and min(row["ms"]) > 0 for row in part["rows"])
    peaks = {row["name"]: sum(row["memory"].values()) for row in result["parts"][0]["rows"]}
    assert peaks["frozen"] < peaks["dcft-d8"] < peaks["full"]
    assert result["hardware"]["threads"] == 1
    assert set(result["settings"].values()) >= {"tiny-deberta", "cpu", "fp32", "lean"}

    shown = script("step", "--show", str(files[0]))
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout in done.stdout
    cells = {row[0] for row in lines(files[0].with_suffix(".md").read_text())}
    assert {row["title"] for part in result["parts"] for row in part["rows"]} <= cells
