"""`python scripts/bench`: what it refuses, and what it loads for that."""

import subprocess
import sys

import pytest

from bench import command
from dcft.errors import UserError
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "the following arguments are required: MEASUREMENT; see python scripts/bench --help"),
        ("speed", "MEASUREMENT: invalid choice: 'speed' .*step"),
        ("step --model bert", "--model: invalid choice: 'bert' .*minilm-l6.*; see python scripts/bench step --help"),
        ("step --rows dcft", "--rows: invalid choice: 'dcft' .*frozen"),
        ("step --parts train", "--parts: invalid choice: 'train' .*evaluation"),
        ("step --rows bare --parts step", "--parts step: none has a row of --rows bare"),
        ("step --batch 0", "--batch: 0 is not a whole number of at least 1"),
        ("step --rounds -1", "--rounds: -1 is not a whole number of at least 1"),
        ("step --length 128 513", "--length 513: give 1 to 512 tokens"),
        ("step --model tiny-bert --layers 3", "--layers 3: tiny-bert has 2"),
        ("step --against full", "--against full: give --show FILE as well"),
        ("step --show missing.json", "missing.json is no result of scripts/bench step"),
        ("tokens --data-root . --tasks rt", "--tasks: invalid choice: 'rt' .*cola"),
        ("tokens --data-root /nowhere", "--data-root /nowhere is not a folder"),
        ("recipe --data-root /nowhere", "/nowhere/glue/RTE/train.tsv does not exist"),
        ("precision --seeds 1", "--seeds 1: give at least 2"),
        ("replicas --model bert", "--model: invalid choice: 'bert' .*deberta-v2-xxlarge"),
        ("replicas --row full", "--row: invalid choice: 'full' .*dcft-d8"),
        ("replicas --model tiny-bert --layers 3", "--layers 3: tiny-bert has 2"),
        ("replicas --length 513", "--length 513: give 1 to 512 tokens"),
        ("gpu --part step", "--part: invalid choice: 'step' .*steps.*table"),
        ("gpu --minutes 0", "--minutes: 0 is not a whole number of at least 1"),
        (
            "gpu --device cpu --part table",
            "results/bench has no result gpu-trial-.*; run python scripts/bench gpu first",
        ),
        ("options --without fp32", "--without: invalid choice: 'fp32' .*compile=true"),
        ("options --length 513", "--length 513: give 1 to 512 tokens"),
        ("sweep --cells 2", "--cells 2: give at least 8"),
        (
            "precision --tasks toy_cls --model tiny-bert --method method=dcft kernel=0",
            "run.py task=toy_cls .* seed=6 precision=bf16 .* ended with status 1: ",
        ),
        ("sweep --model no-such --at-once 1", "ended with status 1: model=no-such: there is no such model"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"^.*{message}") as error:
        command.main(given.split())
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_help_and_refusals_do_not_load_torch():
    script = [sys.executable, "-X", "importtime", str(ROOT / "scripts" / "bench"), "step", "--model", "bert"]
    process = subprocess.run(script, capture_output=True, text=True, timeout=300)
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1].startswith("error: --model: invalid choice: 'bert'")
    modules = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines() if line.startswith("import")}
    assert "bench.step.rows" in modules
    assert modules.isdisjoint({"torch", "transformers", "peft"})
