"""Equal tuning budgets in a plan: every row gets the same trials on every task, each with its own command."""

import json
from collections import Counter
from itertools import product
from textwrap import dedent

import pytest

from dcft.errors import UserError
from dcft.results import sweeps
from dcft.results.outcomes import Outcomes
from dcft.sweep import plan, request
from tests.conftest import SHORT, configure
from tests.fixtures.make import RESULTS

MINE = """
    table:
      caption: Mine
      base: {model: tiny-bert}
      columns: [toy_cls, toy_pair]
      tune: {train.lr: [1e-4, 1e-3], train.batch_size: [4, 8]}
      rows:
        - {method: lora}
        - {method: dcft, kernel: 8, train.lr: 1e-3, train.batch_size: 8}
        - {method: dcft, kernel: 2, train.lr: 1e-3, train.batch_size: 8}
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a table of its own."""
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "mine.yaml").write_text(
        "# @package _global_\ndefaults: [base/sweep]\n" + dedent(MINE), encoding="utf-8"
    )
    return tmp_path


def ask(folder, *arguments):
    return request.read(["table=mine", f"results.dir={folder}/results", *arguments], [folder])


def test_every_row_has_every_trial_on_every_task_and_seed(folder):
    swept = plan.plan(ask(folder, "seeds=2"))
    grid = [{"train.lr": lr, "train.batch_size": size} for lr, size in product(["1e-4", "1e-3"], [4, 8])]
    assert swept.trials == grid
    places = Counter((cell.row, cell.task, cell.trial, cell.seed) for cell in swept.cells)
    assert places == Counter(product(range(3), ["toy_cls", "toy_pair"], range(4), [6, 7]))
    for cell in swept.cells[::5]:
        config = configure(*cell.overrides)
        assert config.cell == cell.name
        assert [config.train.lr, config.train.batch_size] == [float(v) for v in swept.trials[cell.trial].values()]


def test_the_trial_with_the_row_s_own_recipe_is_marked(folder):
    swept = plan.plan(ask(folder))
    assert {(cell.row, cell.trial) for cell in swept.cells if cell.default} == {(1, 3), (2, 3)}
    recipes = plan.plan(request.read(["table=tuned", "model=tiny-bert", "only=mrpc", f"results.dir={folder}"]))
    marked = {
        (recipes.rows[cell.row].title, cell.task): recipes.trials[cell.trial]["train.lr"]
        for cell in recipes.cells
        if cell.default
    }
    for row in recipes.rows:
        knobs = [f"kernel={row.knobs['kernel']}"] if "kernel" in row.knobs else []
        for task in ("mrpc", "stsb"):
            own = configure(f"task={task}", "model=tiny-bert", f"method={row.method}", *knobs).train.lr
            tried = {float(trial["train.lr"]): trial["train.lr"] for trial in recipes.trials}
            assert marked.get((row.title, task)) == tried.get(own)
    assert len(marked) >= 5


def test_rows_that_the_command_line_makes_equal_are_tried_once(folder):
    path = folder / "table" / "mine.yaml"
    path.write_text(path.read_text().replace("    - {method: lora}\n", ""), encoding="utf-8")
    swept = plan.plan(ask(folder, "kernel=4"))
    assert len(swept.rows) == 1
    assert len(swept.cells) == 2 * 4


@pytest.mark.parametrize(
    ("old", "new", "arguments", "line"),
    [
        ("", "", ["train.lr=1e-2"], "train.lr=0.01: table=mine tries 1e-4, 1e-3; leave train.lr out"),
        ("[1e-4, 1e-3]", "1e-4", [], "table=mine: tune.train.lr=1e-4: give a list of values"),
        ("[1e-4, 1e-3]", "[]", [], "table=mine: tune.train.lr=.*: give a list of values"),
        ("train.lr: [1e-4, 1e-3]", "kernel: [2, 8]", [], "table=mine: tune.kernel: a table does not tune"),
        ("train.lr: [1e-4, 1e-3]", "seed: [1, 2]", [], "table=mine: tune.seed: a table does not tune"),
        ("{train.lr: [1e-4, 1e-3], train.batch_size: [4, 8]}", "[1, 2]", [], "table=mine: tune=.*: give settings"),
        ("[1e-4, 1e-3]", "[1e-3, 0.001]", [], "table=mine: two trials of tune are one cell, toy_cls.tiny-bert.lora"),
    ],
)
def test_a_grid_that_makes_no_sense_is_one_line(folder, old, new, arguments, line):
    path = folder / "table" / "mine.yaml"
    path.write_text(path.read_text().replace(old, new), encoding="utf-8")
    with pytest.raises(UserError, match=f"^{line}"):
        plan.plan(ask(folder, *arguments))


def test_a_plan_without_trials_is_read_as_one(tmp_path):
    """Plans of earlier versions do not have these keys."""
    content = json.loads((RESULTS / "sweeps" / "demo.json").read_text(encoding="utf-8"))
    content.pop("trials", None)
    for cell in content["cells"]:
        cell.pop("trial", None), cell.pop("default", None)
    path = tmp_path / "demo.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    outcomes = Outcomes(sweeps.read(path), RESULTS, "best")
    assert outcomes.tuning is None
    assert len(outcomes.done) == len(content["cells"])


@pytest.mark.slow
def test_a_tuned_table_runs_is_judged_and_drawn(folder, command, script):
    arguments = ["--config-dir", str(folder), "table=mine", "results.dir=results", "outputs.dir=outputs"]
    short = [line for line in SHORT if not line.startswith("train.batch_size")]
    done = command(*arguments, *short, "only=toy_cls", "methods=lora")
    assert done.returncode == 0, done.stderr
    assert "4 cells, 0 done, 4 to run" in done.stdout
    assert "Chosen: LoRA (r=1), toy: polarity: train.lr=" in " ".join(done.stdout.split())
    drawn = script("figures")
    assert "tuning.mine" in drawn.stdout, drawn.stderr
    refused = command(*arguments, "train.lr=1e-2")
    assert refused.stderr.startswith("error: train.lr=0.01: table=mine tries 1e-4, 1e-3")
