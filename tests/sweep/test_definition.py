"""A table's file and command line: what is refused, in one line, and what no command may overwrite."""

import shutil

import pytest
import yaml

from dcft.cli import explain
from dcft.errors import UserError
from dcft.results import sweeps
from dcft.sweep import plan, request

GOOD = {"caption": "c", "columns": ["toy_cls"], "rows": [{"model": "tiny-bert", "method": "lora"}]}


def asked(folder, *arguments):
    return request.read(["table=own", f"results.dir={folder}/results", *arguments], [folder])


def write(folder, text):
    (folder / "table").mkdir()
    (folder / "table" / "own.yaml").write_text(text)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"seeds": 3}, "table.seeds=3: Input should be a valid list"),
        ({"rows": ["lora"]}, "table.rows.0=lora: Input should be a valid dictionary"),
        ({"rows": {"method": "lora"}}, "table.rows={.*}: Input should be a valid list"),
        ({"rows": [None]}, "table.rows.0=None: Input should be a valid dictionary"),
        ({"base": ["tiny-bert"]}, "table.base=.*: Input should be a valid dictionary"),
        ({"columns": "toy_cls"}, "table.columns=toy_cls: Input should be a valid list"),
        ({"columns": ["toy_cls", "toy_cls"]}, "table.columns has toy_cls twice; leave one out"),
        ({"avrage": True}, "table.avrage is not a key of a table; leave it out, or give one of name, caption, "),
        ({"rows": [GOOD["rows"][0] | {"paper": "LoRA"}]}, "row 1: paper: names a row of a printed table"),
    ],
    ids=str,
)
def test_a_wrong_table_is_one_line(tmp_path, change, line):
    write(tmp_path, yaml.safe_dump({"table": GOOD | change}))
    with pytest.raises(UserError, match=f"own.yaml: {line}"):
        asked(tmp_path)


@pytest.mark.parametrize("text", ["", "table: foo\n", "- 1\n"])
def test_a_file_without_a_table_is_one_line(tmp_path, text):
    write(tmp_path, text)
    with pytest.raises(UserError, match=r"own.yaml: table=.*: Input should be a valid dictionary"):
        asked(tmp_path)


def test_a_file_that_is_not_yaml_is_one_line(tmp_path):
    write(tmp_path, "table:\n  rows: [1\n")
    with pytest.raises(yaml.YAMLError) as caught:
        asked(tmp_path)
    assert explain(caught.value).startswith(f"{tmp_path}/table/own.yaml:3: this is not YAML (expected ")


@pytest.mark.parametrize(("setting", "filter_"), [("task=rte", "only="), ("method=lora", "methods=")])
def test_a_table_s_tasks_and_methods_are_filtered(setting, filter_):
    with pytest.raises(UserError, match=f"^{setting}: a table has .*; give {filter_}"):
        request.read(["table=table4", setting])


def test_a_kernel_that_does_not_fit_cannot_run(tmp_path):
    """RoBERTa-large has 1024 x 4096: 6 and 12 do not divide them."""
    cells = plan.plan(request.read(["table=table4", "model=roberta-large", f"results.dir={tmp_path}"])).cells
    problems = {cell.problem.partition(":")[0] for cell in cells if cell.problem}
    assert problems >= {"kernel=6", "kernel=12"}
    assert not any(problem in problems for problem in ("kernel=2", "kernel=4", "kernel=8"))


def test_a_plan_that_names_its_cells_outlives_a_folder_without_their_data(tmp_path):
    rte = tmp_path / "data" / "glue" / "RTE"
    rte.mkdir(parents=True)
    for split in ("train", "dev"):
        (rte / f"{split}.tsv").write_text("index\tsentence1\tsentence2\tlabel\n1\ta\tb\tentailment\n")
    places = ["table=table6", "model=tiny-bert", f"results.dir={tmp_path}/results"]
    kept = plan.load_plan(request.read([*places, f"data.root={tmp_path}/data"]))
    assert any(cell.name for cell in kept.cells)
    lost = plan.load_plan(request.read([*places, f"data.root={tmp_path}/nowhere"]))
    assert not any(cell.name for cell in lost.cells)
    assert sweeps.read(sweeps.path_of(kept.name, tmp_path / "results")) == kept
    shutil.rmtree(rte)
    plan.load_plan(request.read([*places, f"data.root={tmp_path}/data"]))
    assert sweeps.read(sweeps.path_of(kept.name, tmp_path / "results")) == kept
