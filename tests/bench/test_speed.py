"""What padding costs, how long commands take to begin, and Hugging Face's recipe: the measurements, on little."""

import argparse
import json

import pytest
from bench import recipe, start, tokens

from dcft.errors import UserError


def measured(module, output, *arguments):
    """Run a measurement; returns its JSON and its page."""
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    module.main(parser.parse_args([*map(str, arguments), "--output", str(output)]))
    name = module.__name__.rpartition(".")[2]
    return json.loads((output / f"{name}.json").read_text()), (output / f"{name}.md").read_text()


def write_rte(root, **rows):
    """Official files of RTE whose lengths are 1 to 40 words and a few tokens, in no order."""
    for split, n in rows.items():
        lines = [f"{i}\t{'lamp ' * (i * 7 % 40)}red\tblue\tentailment" for i in range(n)]
        path = root / "glue" / "RTE" / f"{split}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(["index\tsentence1\tsentence2\tlabel", *lines]) + "\n")
    return root


def test_padding_is_measured_where_there_are_files(tmp_path):
    root = write_rte(tmp_path / "data", train=400, dev=40)
    arguments = ["--data-root", root, "--model", "tiny-bert", "--tasks", "rte", "cola"]
    report, page = measured(tokens, tmp_path, *arguments)
    rte = report["tasks"]["rte"]
    assert (rte["split"], rte["rows"], rte["batch_size"]) == ("train", 400, 32)
    assert set(rte["by_batch_size"]) >= {"8", "32", "80", "100"}
    assert 1 < rte["grouped"] < 1.2 < rte["random"] < rte["longest"]
    assert rte["longest"] == pytest.approx(320 / rte["mean"], rel=1e-3)
    assert 1 < rte["dev_sorted"] < rte["dev_unsorted"] + 1e-9
    assert report["tasks"]["cola"] == {"missing": ["glue/CoLA/train.tsv", "glue/CoLA/dev.tsv"]}
    assert "Not there: glue/CoLA/train.tsv, glue/CoLA/dev.tsv." in page
    assert report["hardware"]["cores"]


def test_a_dev_set_stands_for_a_training_file_that_is_missing(tmp_path):
    report, page = measured(
        tokens, tmp_path, "--data-root", write_rte(tmp_path, dev=90), "--model", "tiny-bert", "--tasks", "rte"
    )
    assert (report["tasks"]["rte"]["split"], report["tasks"]["rte"]["rows"]) == ("dev", 90)
    assert "| 90 (dev) |" in page


@pytest.mark.parametrize(
    ("module", "arguments", "said"),
    [
        (tokens, ["--data-root", ".", "--tasks", "rt"], "--tasks rt: give some of cola"),
        (tokens, ["--data-root", "/nowhere"], "--data-root /nowhere: there is no such folder"),
        (start, ["--repeat", "0"], "--repeat 0"),
        (recipe, ["--data-root", ".", "--steps", "0"], "--steps 0"),
        (recipe, ["--data-root", "/nowhere"], "/nowhere/glue/RTE/train.tsv does not exist"),
    ],
)
def test_what_cannot_be_measured_is_one_line(tmp_path, module, arguments, said):
    with pytest.raises(UserError, match=said):
        measured(module, tmp_path / "output", *arguments)
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(("seconds", "verdict"), [(1.4, "| met |"), (1.6, "| not met |")])
def test_a_limit_is_met_by_the_median(seconds, verdict):
    times = {"run.py --cfg job": [{"wall_s": wall, "cpu_s": 0.5} for wall in (0.1, seconds, 9.0)]}
    page = start.page({"settings": {"repeat": 3, "model": "minilm-l6"}, "limits": start.LIMITS, "times": times})
    assert page[-1].endswith(verdict)


@pytest.mark.parametrize(("slower", "verdict"), [(3.1, "is met"), (2.9, "is not met")])
def test_the_target_is_the_slowest_of_the_suite_s_rows_by_ratios_within_rounds(slower, verdict):
    speeds = {name: slower if "DCFT" in name else 9.0 for name in recipe.SUITE} | dict.fromkeys(recipe.PLAIN, 1.0)
    busy = {name: speed / 10 for name, speed in speeds.items()}  # ratios are the same when the machine is slower
    settings = {"model": "minilm-l6", "batch": 32}
    report = {"settings": settings, "reference": recipe.REFERENCE, "target": 3.0, "samples_per_s": [speeds, busy]}
    text = "\n".join(recipe.page(report))
    assert verdict in text
    assert f"| {slower:.2f} | {slower:.2f} to {slower:.2f} |" in text


@pytest.mark.slow
def test_the_first_step_ends_before_the_command(tmp_path):
    report, _ = measured(start, tmp_path, "--repeat", 1, "--model", "tiny-bert")
    [step] = report["times"]["first training step"]
    [settings] = report["times"]["run.py --cfg job"]
    assert step["wall_s"] > settings["wall_s"] > 0
    assert step["cpu_s"] > 0


@pytest.mark.slow
def test_the_recipe_s_rows_are_measured(tmp_path):
    root = write_rte(tmp_path / "data", train=24, dev=6)
    arguments = ["--data-root", root, "--model", "tiny-bert", "--rows", 8, "--batch", 4, "--steps", 2, "--rounds", 1]
    report, page = measured(recipe, tmp_path, *arguments)
    [speeds] = report["samples_per_s"]
    assert set(speeds) == {*recipe.SUITE, *recipe.PLAIN}
    assert min(speeds.values()) > 0
    assert "| 1.00 | 1.00 to 1.00 |" in page
