"""What a cell leaves in its folder: checkpoints while it is not finished, then the best evaluation's model."""

from dataclasses import replace

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import set_seed

from dcft.backbones import load
from dcft.data import encode
from dcft.errors import RunFailed
from dcft.results import records
from dcft.training import prepare, scoring
from dcft.training import run as training
from dcft.training.trainer import CellTrainer
from tests.conftest import SHORT


def run(config):
    return records.read(training.run_cell(config))


@pytest.mark.parametrize("method", ["dcft", "full"])
def test_a_finished_cell_leaves_its_model_and_shared_caches(cell, tmp_path, monkeypatch, method):
    config = cell("task=toy_cls", "model=tiny-bert", *SHORT, f"method={method}")
    with monkeypatch.context() as patch:  # an attempt that leaves its error
        patch.setattr(encode, "prepare", lambda *_: 1 / 0)
        with pytest.raises(RunFailed, match="ZeroDivisionError"):
            training.run_cell(config)
    run(config)
    own = {"dcft": {"README.md", "adapter_config.json", "adapter_model.safetensors"}}
    own["full"] = {"config.json", "model.safetensors"}
    assert [path.name for path in config.work_dir.iterdir()] == ["model"]
    left = {path.name for path in (config.work_dir / "model").iterdir()}
    assert left == own[method] | {"tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in (tmp_path / "outputs" / "cache").iterdir()} == {"tokens", "toy-v1"}


def test_the_saved_model_is_the_best_one_and_adapter_only(cell):
    config = cell("task=toy_cls", "model=tiny-bert", *SHORT)
    record = run(config)
    folder = config.work_dir / "model"
    assert not list(folder.glob("model.safetensors"))
    set_seed(config.seed)  # the random backbone is part of what the adapter was trained on
    backbone = load.load_backbone(config)
    model = PeftModel.from_pretrained(backbone.model, folder).eval()
    data = encode.prepare(config, backbone.tokenizer)
    scorer = scoring.Scorer(config.task, data.dev_rows, data.dev)
    inputs = backbone.tokenizer.pad(data.dev.remove_columns("labels").to_dict(), return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits.numpy()
    assert scorer(logits).score == pytest.approx(record.score)


def all_evaluations_score(score: float, monkeypatch):
    class Equal(scoring.Scorer):
        def __call__(self, outputs):
            return replace(super().__call__(outputs), score=score, metrics={"accuracy": score})

    monkeypatch.setattr(prepare, "Scorer", Equal)


def test_the_first_of_equal_evaluations_is_kept(cell, monkeypatch):
    """The saved model is that of the evaluation that the record names: one function chooses for both."""
    kept = {}

    class Spy(CellTrainer):
        def evaluate(self, *args, **kwargs):
            kept[self.state.global_step] = {n: p.detach().clone() for n, p in self.model.named_parameters()}
            return super().evaluate(*args, **kwargs)

    monkeypatch.setattr(prepare, "CellTrainer", Spy)
    all_evaluations_score(50.0, monkeypatch)
    config = cell("task=toy_cls", "model=tiny-bert", *SHORT)
    run(config)
    saved = load_file(config.work_dir / "model" / "adapter_model.safetensors")
    name = next(name for name in saved if "dcft_A" in name)
    own = {step: next(p for n, p in found.items() if n.replace(".default", "") == name) for step, found in kept.items()}
    assert torch.equal(saved[name], own[2])
    assert not torch.equal(saved[name], own[4])


@pytest.mark.parametrize("steps", [2, 4], ids=["the last evaluation is the best", "an earlier one is"])
def test_a_run_that_dies_before_its_record_is_written_goes_on(cell, monkeypatch, steps):
    all_evaluations_score(50.0, monkeypatch)
    config = cell("task=toy_cls", "model=tiny-bert", *SHORT, f"train.max_steps={steps}")
    with monkeypatch.context() as patch:
        patch.setattr(records, "write", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            training.run_cell(config)
    file = config.work_dir / "model" / "adapter_model.safetensors"
    before = load_file(file)
    record = run(config)
    assert (record.status, record.attempts, len(record.history)) == ("done", 2, steps // 2)
    after = load_file(file)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def raise_interrupt(*_):
    raise KeyboardInterrupt


def test_a_model_is_kept_on_a_file_system_without_links(cell, monkeypatch):
    def refuse(*_):
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    config = cell("task=toy_cls", "model=tiny-bert", *SHORT)
    run(config)
    assert load_file(config.work_dir / "model" / "adapter_model.safetensors")
