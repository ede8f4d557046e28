"""The shortest command line of a cell: it gives the same cell, and holds nothing that the choices give anyway."""

from dataclasses import asdict

import pytest

from dcft.config.overrides import command, overrides
from dcft.errors import UserError
from dcft.training import recording
from tests.conftest import configure

CASES = [
    [],
    ["method=lora", "rank=4", "seed=7"],
    ["kernel=4"],
    ["kernel=8", "stride=2", "targets=qkv", "preset=script"],
    ["train.batch_size=16"],  # converts the counts of steps
    ["method=sora", "method.sparsity.thresholds=[1e-3,0.3]"],
    ["method=hadapter", "train.max_steps=4", "precision=bf16", "compile=true"],
    ["method=full", "train.cls_dropout=null", "dropout=torch", "train.lr=1e-05"],
    ["+method.peft.modules_to_save=[x,'a b','1']", "model.init_from='rte.x,y.s6.0123456789'"],
    ["model.hub.revision=main", "model.head=[classifier]", "task.hub.revision='1'"],
]


@pytest.mark.parametrize("given", CASES, ids=" ".join)
def test_it_gives_the_same_cell_and_nothing_twice(given):
    config = configure("task=rte", "model=deberta-v3-base", *given)
    found = overrides(recording.settings(config))
    again = configure(*command(found)[2:])
    assert (again.cell, again.model, again.data) == (config.cell, config.model, config.data)
    keys = {line.lstrip("+").partition("=")[0] for line in given}
    assert {key.lstrip("+") for key in found} - {"task", "model", "method"} <= keys | {"stride"}  # kernel's own


def test_settings_that_conf_does_not_have_any_more_are_an_error():
    settings = asdict(configure("task=rte", "model=tiny-bert"))
    settings["train"]["momentum"] = 0.9
    with pytest.raises(UserError, match="train.momentum is not a setting"):
        overrides(settings)
