"""A submission has the form that gluebenchmark.com takes: the rules are written down here a second time."""

import io
import re
import zipfile

import pytest

from dcft.training.run import run_cell
from tests.conftest import configure

# File -> rows, what a prediction looks like (nyu-mll/jiant: guides/tasks/supported_tasks and write_preds).
NLI, WORDS, BINARY = "entailment|neutral|contradiction", "entailment|not_entailment", "0|1"
SITE = {
    "AX.tsv": (1104, NLI),
    "CoLA.tsv": (1063, BINARY),
    "MNLI-m.tsv": (9796, NLI),
    "MNLI-mm.tsv": (9847, NLI),
    "MRPC.tsv": (1725, BINARY),
    "QNLI.tsv": (5463, WORDS),
    "QQP.tsv": (390965, BINARY),
    "RTE.tsv": (3000, WORDS),
    "SST-2.tsv": (1821, BINARY),
    "STS-B.tsv": (1379, r"[0-4]\.\d{3}|5\.000"),
    "WNLI.tsv": (146, BINARY),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Cells of three tasks whose files have the official layout and, for the test sets, the official number of rows."""
    root = tmp_path_factory.mktemp("submission")

    def write(task: str, split: str, lines: list[str]) -> None:
        (root / "data" / "glue" / task).mkdir(parents=True, exist_ok=True)
        (root / "data" / "glue" / task / f"{split}.tsv").write_text("\n".join(lines) + "\n")

    for split, rows in (("train", 40), ("dev", 20), ("test", 3000)):
        label = "\tlabel" if split != "test" else ""
        words = ["entailment", "not_entailment"]
        lines = [f"{i}\ta {i}\tb {i}" + (f"\t{words[i % 2]}" if label else "") for i in range(rows)]
        write("RTE", split, [f"index\tsentence1\tsentence2{label}", *lines])
    for split, rows in (("train", 40), ("dev", 20)):
        write("CoLA", split, [f"s\t{i % 2}\t\tword {i}" for i in range(rows)])
    write("CoLA", "test", ["index\tsentence", *(f"{i}\tword {i}" for i in range(1063))])
    for split, rows in (("train", 40), ("dev", 20), ("test", 1379)):
        label = "\tscore" if split != "test" else ""
        lines = [f"{i}\ta {i}\tb {i}" + (f"\t{i % 6}" if label else "") for i in range(rows)]
        write("STS-B", split, [f"index\tsentence1\tsentence2{label}", *lines])
    short = ["train.max_steps=4", "eval.every=2", "train.batch_size=8", f"data.root={root}/data", "model=tiny-bert"]
    for task, seed in (("rte", 6), ("rte", 7), ("cola", 6), ("stsb", 6)):
        places = [f"results.dir={root}/results", f"outputs.dir={root}/outputs"]
        run_cell(configure(f"task={task}", "method=dcft", f"seed={seed}", *short, *places))
    return root / "results"


def test_the_zip_has_the_site_s_form(results, script, tmp_path):
    refused = script("submission", "dcft", "--results", results)
    assert "no finished cell for sst2, mrpc, qqp, mnli, qnli" in refused.stderr
    assert not (tmp_path / "results").exists()
    done = script("submission", "dcft-k8", "--results", results, "--output", "out", "--fill")
    assert done.returncode == 0, done.stderr
    archive = zipfile.ZipFile(io.BytesIO((tmp_path / "out" / "glue.zip").read_bytes()))
    assert sorted(archive.namelist()) == sorted(SITE)
    for name, (rows, prediction) in SITE.items():
        header, *lines = archive.read(name).decode().splitlines()
        assert header == "index\tprediction"
        assert [line.split("\t")[0] for line in lines] == [str(i) for i in range(rows)]
        assert all(re.fullmatch(prediction, line.split("\t")[1]) for line in lines), name
    assert done.stdout.count("no cell: ") == 8
    assert len(set(archive.read("STS-B.tsv").split())) > 100, "predicted, not filled"


def test_a_test_set_that_is_not_whole_is_refused(results, script):
    path = results.parent / "data" / "glue" / "CoLA" / "test.tsv"
    whole = path.read_text()
    path.write_text("\n".join(whole.splitlines()[:-1]) + "\n")
    try:
        done = script("submission", "dcft", "--results", results, "--fill")
        assert "CoLA.tsv: the test set has 1062 rows and GLUE's has 1063" in done.stderr
    finally:
        path.write_text(whole)


def test_a_method_without_cells_is_one_line(results, script):
    assert "error: sora: no finished cell of GLUE" in script("submission", "sora", "--results", results).stderr
