"""`model.init_from`: a run starts with the trained weights of another cell, and only of one that fits."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dcft.config.cell import RunConfig
from dcft.errors import UserError
from dcft.results import records, starts, sweeps
from dcft.training import prepare
from dcft.training.methods import SPAN_HEAD, is_part
from dcft.training.run import run_cell
from tests.conftest import ADALORA_SHORT, ROOT, SHORT, configure
from tests.training.test_distributed import torchrun
from tests.training.test_resume import TEN_STEPS, assert_same_run, folders, watched

TINY = ["model=tiny-bert", *SHORT]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train a cell once, and configure others in the same folders."""
    folder = tmp_path_factory.mktemp("trained")
    places = [f"results.dir={folder}/results", f"outputs.dir={folder}/outputs"]

    def make(*overrides: str) -> RunConfig:
        return configure(*TINY, *overrides, *places)

    def train(*overrides: str) -> str:
        config = make(*overrides)
        run_cell(config)
        return config.cell

    make.train = train
    return make


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(next(folder.glob("*.safetensors")))


def split(config: RunConfig, tensors: dict) -> tuple[dict, dict]:
    """The tensors outside of the head, and those of the head."""
    head = [*config.model.head, *SPAN_HEAD]
    outside = {name: tensor for name, tensor in tensors.items() if not is_part(name, head)}
    return outside, {name: tensor for name, tensor in tensors.items() if name not in outside}


def before_the_first_step(config: RunConfig, tmp_path: Path) -> dict[str, torch.Tensor]:
    model = prepare.prepare(config, []).model.model
    model.save_pretrained(tmp_path / "start")
    return weights(tmp_path / "start")


@pytest.mark.parametrize(
    ("method", "source", "task"),
    [
        (["method=dcft"], ["task=toy_cls"], "toy_pair"),
        (["method=dcft"], ["task=toy_pair", "seed=7"], "toy_pair"),
        (["method=sora"], ["task=toy_cls"], "toy_sim"),
        (["method=adalora", *ADALORA_SHORT], ["task=toy_cls"], "toy_pair"),
        (["method=hadapter"], ["task=toy_cls"], "toy_qa"),
        (["method=full"], ["task=toy_cls"], "toy_sim"),
        (["method=full"], ["task=toy_qa"], "toy_pair"),
        (["method=bitfit"], ["task=toy_cls"], "toy_pair"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0].partition("=")[2],
)
def test_a_run_starts_with_exactly_the_trained_weights_and_a_new_head(trained, tmp_path, method, source, task):
    name = trained.train(*method, *source)
    fresh, config = trained(*method, f"task={task}"), trained(*method, f"task={task}", f"model.init_from={name}")
    start, start_head = split(config, before_the_first_step(config, tmp_path))
    kept, _ = split(config, weights(starts.folder(config)))
    untrained, fresh_head = split(config, before_the_first_step(fresh, tmp_path))
    assert start.keys() == kept.keys() == untrained.keys()
    assert all(torch.equal(start[key], kept[key]) for key in start)
    assert any(not torch.equal(start[key], untrained[key]) for key in start)
    assert start_head
    assert all(torch.equal(start_head[key], fresh_head[key]) for key in start_head)
    record = records.read(run_cell(config))
    assert record.done
    assert record.config["model"]["init_from"] == record.model_source.identity["init_from"] == name


def test_the_name_follows_the_source_cell_and_not_its_place(trained, tmp_path):
    base = trained("task=toy_pair", "method=dcft")
    assert base.cell == replace(base, model=replace(base.model, init_from=None)).cell
    names = {trained("task=toy_pair", "method=dcft", *start).cell for start in ([], ["model.init_from=" + base.cell])}
    assert len(names) == 2
    by_path = {
        trained("task=toy_pair", "method=dcft", f"model.init_from={path}").cell
        for path in (base.cell, f"outputs/runs/{base.cell}", f"elsewhere/{base.cell}/model")
    }
    assert len(by_path) == 1
    assert by_path < names
    for number, place in enumerate(("one", "two", "changed")):  # no cell: its files count
        (tmp_path / place).mkdir()
        save_file({"x": torch.tensor([number // 2])}, tmp_path / place / "adapter_model.safetensors")
    one, two, changed = (
        trained("task=toy_pair", f"model.init_from={tmp_path / place}").cell for place in ("one", "two", "changed")
    )
    assert one == two != changed


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["kernel=4"], "kernel=4: model.init_from={} was trained with 8; give that"),
        (["targets=qkv"], "targets=qkv: model.init_from={} was trained with all; give that"),
        (["method=lora"], "method=lora: model.init_from={} was trained with dcft; give that"),
        (["model=tiny-roberta"], "model=tiny-roberta: model.init_from={} was trained with tiny-bert; give that"),
        (
            ["model.random.hidden_size=64"],
            "model=tiny-bert, whose hidden_size=64: model.init_from={} was trained with 32",
        ),
        (["method.peft.scaling=2"], "method.peft.scaling=2: model.init_from={} was trained with 16.0; give that"),
    ],
)
def test_a_source_that_does_not_fit_is_refused(trained, overrides, reason):
    name = trained.train("task=toy_cls", "method=dcft")
    config = trained("task=toy_pair", *overrides, f"model.init_from={name}")
    with pytest.raises(UserError) as caught:
        run_cell(config)
    assert str(caught.value).startswith(reason.format(name))
    assert not config.work_dir.exists()


def test_a_source_that_is_not_there_is_refused_with_the_command_that_trains_it(trained, cell, tmp_path):
    name = trained.train("task=toy_cls", "method=dcft")
    with pytest.raises(UserError, match=f"{name} has no record in .*; train it: "):
        run_cell(cell("task=toy_pair", *TINY, f"model.init_from={name}"))  # in other folders
    kept = starts.folder(trained("task=toy_pair", f"model.init_from={name}"))
    kept.rename(kept.with_name("moved"))
    try:
        with pytest.raises(UserError, match="its weights are not in .*") as caught:
            run_cell(trained("task=toy_pair", "train.lr=1e-4", f"model.init_from={name}"))
        command = str(caught.value).rpartition("train it again: python run.py ")[2]
        assert trained(*command.split()).cell == name
        with pytest.raises(UserError, match="neither the name of a cell nor a folder with"):
            cell("task=toy_pair", "model.init_from=mnli").cell  # noqa: B018
    finally:
        kept.with_name("moved").rename(kept)


def test_a_folder_without_a_record_is_held_against_its_adapter(trained, tmp_path):
    source = trained("task=toy_pair", "model.init_from=" + trained.train("task=toy_cls", "method=dcft"))
    folder = shutil.copytree(starts.folder(source), tmp_path / "published")
    start = f"model.init_from={folder}"
    assert records.read(run_cell(trained("task=toy_pair", start))).done
    with pytest.raises(UserError, match="peft_type=LORA: model.init_from=.*published was trained with DCFT"):
        run_cell(trained("task=toy_pair", "method=lora", start))
    with pytest.raises(
        UserError, match=r"dcft_A is \[\d+, \d+\] there and \[\d+, \d+\] here; give the method's settings"
    ):
        run_cell(trained("task=toy_pair", "kernel=4", start))
    with pytest.raises(UserError, match="is .* there and missing here"):
        run_cell(trained("task=toy_pair", "targets=qkv", start))
    (folder / "adapter_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(UserError, match="adapter_model.safetensors cannot be read"):
        run_cell(trained("task=toy_pair", start))


def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path, monkeypatch):
    both = []
    for name in ("interrupted", "straight"):
        source = configure(*TEN_STEPS, "train.max_steps=2", *folders(tmp_path, name))
        run_cell(source)
        both.append(configure(*TEN_STEPS, f"model.init_from={source.cell}", *folders(tmp_path, name)))
    watched(both[0], monkeypatch, stop=7)
    assert_same_run(*both, monkeypatch)


@pytest.mark.slow
def test_two_processes_start_from_the_same_weights(tmp_path):
    source = configure(*TINY, "task=toy_cls", f"results.dir={tmp_path}/results", f"outputs.dir={tmp_path}/outputs")
    run_cell(source)
    done = torchrun(tmp_path, ROOT / "run.py", *TINY, "task=toy_pair", f"model.init_from={source.cell}")
    assert done.returncode == 0, done.stderr
    record = records.read(tmp_path / done.stdout.splitlines()[-1])
    assert record.hardware["processes"] == 2
    assert record.model_source.identity["init_from"] == source.cell


def test_a_table_waits_for_the_cells_that_its_cells_start_from(script, tmp_path):
    source = configure(*TINY, "task=toy_cls", "method=lora", "results.dir=results", "outputs.dir=outputs")
    row = {"method": "lora", "model.init_from": source.cell}
    table = {"caption": "Started", "base": {"model": "tiny-bert"}, "columns": ["toy_pair"], "rows": [row]}
    (tmp_path / "mine" / "table").mkdir(parents=True)
    (tmp_path / "mine" / "table" / "started.yaml").write_text(
        "# @package _global_\ndefaults: [base/sweep]\ntable: " + json.dumps(table)
    )
    command = ["table=started", f"hydra.searchpath=[{tmp_path}/mine]", *SHORT]
    plan = script("run", *command, "dry=true")
    assert f"cannot run 1 cell: model.init_from={source.cell} has no record in results/runs; train it: " in plan.stdout
    assert script("run", *command).stderr.startswith(f"error: nothing to run: model.init_from={source.cell} has no rec")
    run_cell(source)
    assert "1 cells, 0 done, 1 to run" in script("run", *command, "dry=true").stdout
    (cell,) = sweeps.read(next(tmp_path.glob("results/sweeps/*.json"))).cells
    assert cell.name == configure(*cell.overrides).cell
    run_cell(configure(*cell.overrides))
    shutil.rmtree(tmp_path / "outputs")  # a clone has records alone
    assert "1 cells, 1 done, 0 to run" in script("run", *command, "dry=true").stdout
