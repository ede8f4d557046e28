"""`python scripts/bench step`: its tables and its files."""

import json

import pytest

from bench import command, step
from bench.output import render
from bench.step.page import page
from dcft.errors import UserError

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
        "dropout": "fast",
        "compile": False,
        "complete": True,
        "rounds": 3,
        "warmup": 1,
    },
    "hardware": {"cpu": "a processor", "cores": 4, "threads": 2, "gpu": None},
    "versions": {"torch": "2.0"},
    "parts": [
        {
            "name": "step",
            "floor": "frozen",
            "products": {"frozen": {"gflop": 20.0, "ms": [80.0, 160.0, 300.0]}},
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
        {
            "name": "evaluation",
            "floor": "bare",
            "products": {"bare": {"gflop": 1.0, "ms": [9.0] * 3}},
            "rows": [
                {"name": "bare", "title": "Bare backbone", "ms": [10.0] * 3, "latency": {"1": [2, 3, 4], "64": [50]}}
            ],
        },
        {
            "name": "budget",
            "floor": "frozen",
            "rows": [{"name": "frozen", "title": "Frozen backbone", "budget": {"matrix products": 70.0, "GELU": 5.5}}],
        },
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
    text = render(RESULT, page)
    assert ["Frozen backbone", "200.0", "1.00", "1.00-1.00", "0.80", "5,120", "4", "0"] in lines(text)
    assert ["DCFT d=8", "240.0", "1.10", "1.07-1.15", "0.72", "4,267", "5", "8,448"] in lines(text)
    assert ["Bare backbone", "10.0", "1.00", "1.00-1.00", "0.90", "102,400", "3.0", "50.0"] in lines(text)
    assert ["DCFT d=8", "1.5", "1.50", "1.5", "1.50"] in lines(text)
    assert "deberta-v3-base (4 of 12 layers, random weights), batch 8 x 128, fp32, lean attention, fast dropout" in text
    assert ["GELU", "5.5"] in lines(text)
    assert ["sum", "75.5"] in lines(text)
    assert "20.0 GFLOP in 160.0 ms: 125 GFLOP/s" in text
    assert "median of 3 interleaved rounds" in text
    assert "the head, which has 592,130" in text


def test_ratios_may_be_to_another_row():
    text = "\n".join(page(RESULT, "dcft-d8"))
    assert ["Frozen backbone", "200.0", "0.91", "0.87-0.94", "0.80", "5,120", "4", "0"] in lines(text)
    assert ["Bare backbone", "10.0", "1.00", "1.00-1.00", "0.90", "102,400", "3.0", "50.0"] in lines(
        text
    )  # has no such row
    assert "Ratio: to “DCFT d=8” of the same round" in text


def test_files_of_other_settings_have_other_names():
    names = {step.file_name(RESULT)}
    for key, value in {
        "model": "minilm-l6",
        "layers": 2,
        "batch": 4,
        "length": 32,
        "device": "cuda",
        "precision": "bf16",
        "attention": "plain",
        "dropout": "torch",
        "compile": True,
        "complete": False,
    }.items():
        names.add(step.file_name(RESULT | {"settings": RESULT["settings"] | {key: value}}))
    assert len(names) == 11


def test_a_file_that_is_no_result_is_refused(tmp_path):
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"parts": [{"name": "step", "rows": []}]}))
    with pytest.raises(UserError, match="is no result of scripts/bench step"):
        step.show(path)
    path.write_text(json.dumps(RESULT))
    with pytest.raises(UserError, match=r"--against full: .* has no such row; give one of frozen, dcft-d8, bare"):
        step.show(path, "full")


@pytest.mark.slow
def test_the_command_measures_writes_and_prints(tmp_path, capsys):
    options = ["--model", "tiny-deberta", "--batch", "2", "--length", "8", "16", "--rounds", "2", "--device", "cpu"]
    options += ["--rows", "frozen", "dcft-d8", "full", "bare", "dcft-merged"]
    command.main(["step", *options, "--output", str(tmp_path)])
    printed = capsys.readouterr().out
    files = sorted(tmp_path.glob("*.json"))
    assert [path.stem for path in files] == [f"step-tiny-deberta-l2-b2x{n}-cpu-fp32-some" for n in (16, 8)]
    result = json.loads(files[0].read_text())
    assert [part["name"] for part in result["parts"]] == ["step", "evaluation", "layer", "layer", "layer", "budget"]
    assert [part["size"] for part in result["parts"][2:5]] == [[32, 32], [32, 64], [64, 32]]
    for part in result["parts"][:5]:
        assert part["floor"] == part["rows"][0]["name"]
        assert all(len(row["ms"]) == 2 and min(row["ms"]) > 0 for row in part["rows"])
    assert all(list(row["latency"]) == ["1", "64"] for row in result["parts"][1]["rows"])
    assert list(result["parts"][0]["products"]) == ["frozen", "full"]
    assert result["parts"][0]["products"]["full"]["gflop"] > result["parts"][0]["products"]["frozen"]["gflop"]
    [frozen, dcft] = result["parts"][5]["rows"]
    assert frozen["budget"]["matrix products"] > 0
    assert min(sum(row["budget"].values()) for row in (frozen, dcft)) > 0
    peaks = {row["name"]: sum(row["memory"].values()) for row in result["parts"][0]["rows"]}
    assert peaks["frozen"] < peaks["dcft-d8"] < peaks["full"]

    command.main(["step", "--show", str(files[0])])
    shown = capsys.readouterr().out
    assert shown == files[0].with_suffix(".md").read_text()
    assert shown in printed
    cells = {row[0] for row in lines(shown)}
    assert {row["title"] for part in result["parts"] for row in part["rows"]} <= cells
