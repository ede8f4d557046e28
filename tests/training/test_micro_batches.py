"""`train.accumulate` and `train.checkpoint_layers` change what a step needs, and not the step."""

from collections import Counter
from functools import cache

import pytest
from transformers.models.bert.modeling_bert import BertLayer
from transformers.models.deberta_v2.modeling_deberta_v2 import DebertaV2Layer

from dcft.errors import Interrupted, UserError
from dcft.results import records
from dcft.training import prepare, run
from dcft.training.trainer import CellTrainer
from tests.conftest import ADALORA_SHORT, PAPER_METHODS, configure
from tests.training.test_distributed import BASE, SAME, assert_same_record, overrides, run_on_two
from tests.training.test_resume import Watch

METHODS = {name: ["task=toy_pair", f"method={name}"] for name in PAPER_METHODS} | {
    "adalora": ["task=toy_pair", "method=adalora", *ADALORA_SHORT],
    "sora": SAME["sora"],
    "dcft with its penalty": ["task=toy_pair", "method=dcft", "method.orthogonality.coefficient=0.3"],
    "dcft on DeBERTa": ["task=toy_pair", "method=dcft", "model=tiny-deberta"],
    "spans": SAME["spans"],
    "plain order": SAME["plain order"],
}
SAVING = {"in parts": "train.accumulate=4", "again": "train.checkpoint_layers=true"}


@pytest.fixture(scope="module")
def plainly(tmp_path_factory):
    """The record of a run as it is without the two settings."""

    @cache
    def made(name):
        (values,) = overrides({name: METHODS[name]}, tmp_path_factory.mktemp("plain")).values()
        return records.read(run.run_cell(configure(*values)))

    return made


@pytest.mark.parametrize("saving", SAVING)
@pytest.mark.parametrize("name", METHODS)
def test_the_record_is_that_of_a_plain_run(name, saving, plainly, tmp_path, monkeypatch):
    """Two epochs of three steps; one batch of each has one row, so that three of four micro-batches have none."""
    calls, compute_loss = Counter(), CellTrainer.compute_loss

    def counted(trainer, model, *args, **kwargs):
        calls["micro-batches"] += model.training
        return compute_loss(trainer, model, *args, **kwargs)

    for kind in (BertLayer, DebertaV2Layer):

        def forward(layer, *args, _forward=kind.forward, **kwargs):
            calls["layers"] += layer.training
            return _forward(layer, *args, **kwargs)

        monkeypatch.setattr(kind, "forward", forward)
    monkeypatch.setattr(CellTrainer, "compute_loss", counted)
    monkeypatch.setattr(prepare, "count", lambda config, cell: None)  # it calls the layers, too
    (values,) = overrides({name: METHODS[name]}, tmp_path).values()
    record = records.read(run.run_cell(configure(*values, SAVING[saving])))
    assert calls == {"micro-batches": 24, "layers": 48} if saving == "in parts" else {"micro-batches": 6, "layers": 24}
    assert_same_record(record, plainly(name))


def test_a_run_that_was_interrupted_between_two_steps_goes_on_as_the_same_run(cell, tmp_path, monkeypatch):
    """With dropout; the checkpoint lies in mid-epoch and between two logged losses."""
    make = prepare.CellTrainer
    values = ["task=toy_pair", "method=dcft", *BASE, "train.accumulate=2", "train.checkpoint_layers=true"]

    def run_stopping(step, folder):
        def watched(*args, **kwargs):
            trainer = make(*args, **kwargs)
            trainer.add_callback(Watch(step, 15))
            return trainer

        monkeypatch.setattr(prepare, "CellTrainer", watched)
        places = [f"results.dir={tmp_path}/{folder}", f"outputs.dir={tmp_path}/{folder}"]
        return records.read(run.run_cell(configure(*values, *places)))

    straight = run_stopping(None, "straight")
    with pytest.raises(Interrupted):
        run_stopping(5, "resumed")
    resumed = run_stopping(None, "resumed")
    assert resumed.resumed_from == 5
    assert resumed.losses == straight.losses
    assert [entry.loss for entry in resumed.history] == [entry.loss for entry in straight.history]


@pytest.mark.slow
def test_two_processes_give_the_record_of_a_plain_run(plainly, tmp_path):
    names = ["dcft with its penalty", "lora", "adalora", "sora", "full"]
    cases = {name: [*METHODS[name], "train.accumulate=2", "train.checkpoint_layers=true"] for name in names}
    folder = run_on_two(cases, tmp_path)
    for name, values in overrides(cases, folder).items():
        record = records.read(configure(*values).record_path)
        assert record.hardware["processes"] == 2
        assert_same_record(record, plainly(name))


@pytest.mark.parametrize(("processes", "parts"), [(1, 3), (2, 8)])
def test_a_batch_that_cannot_be_split_is_refused(processes, parts, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    with pytest.raises(UserError, match=rf"train.accumulate={parts}: a process has {8 // processes} rows"):
        prepare.check_processes(configure("task=toy_cls", *BASE, f"train.accumulate={parts}"))
