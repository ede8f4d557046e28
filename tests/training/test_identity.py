"""What a cell's name leaves out changes no number: a run with all of it changed."""

from dataclasses import asdict, replace

import pytest

from dcft.config.cell import NOT_PART
from dcft.results import records
from dcft.training.run import run_cell
from tests.conftest import SHORT

TOUCHED = """task.title task.printed task.hub model.title model.substitute model.matrices model.hub kernel stride
method.title preset tracker.project tracker.group results outputs recipe_source""".split()


@pytest.mark.parametrize(("task", "method"), [("toy_cls", "dcft"), ("toy_qa", "hadapter"), ("toy_sim", "sora")])
def test_a_run_does_not_depend_on_what_its_name_leaves_out(cell, tmp_path, task, method):
    base = cell(f"task={task}", "model=tiny-bert", f"method={method}", *SHORT)
    other = replace(
        base,
        task=replace(base.task, title="x", printed=["x"], hub=replace(base.task.hub, path="x")),
        model=replace(base.model, title="x", substitute=not base.model.substitute, hub=replace(base.model.hub, id="x")),
        method=replace(base.method, title="x"),
        tracker=replace(base.tracker, project="x", group="x"),
        results=replace(base.results, dir=str(tmp_path / "elsewhere")),
        outputs=replace(base.outputs, dir=str(tmp_path / "others")),
        preset="x",
        kernel=5,
        stride=3,
        recipe_source={},
    )
    other.model.matrices["unused"] = "x"
    assert all(any(f"{name}.".startswith(f"{one}.") for one in NOT_PART) for name in TOUCHED)
    assert other.cell == base.cell
    one, two = (records.read(run_cell(config)) for config in (base, other))
    assert one.losses == two.losses
    assert asdict(one.params) == asdict(two.params)
    kept = ("step", "score", "loss", "metrics", "metrics_halves")
    for first, second in zip(one.history, two.history, strict=True):
        assert all(getattr(first, key) == getattr(second, key) for key in kept)
