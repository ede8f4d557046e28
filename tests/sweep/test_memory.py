"""A plan says what a step needs, and warns where the GPU has less."""

import pytest

from dcft.sweep import memory, workers
from tests.conftest import configure

TABLE = ["table=demo", "dry=true"]
XXL = ["model=deberta-v2-xxlarge", "task=rte"]


def test_a_plan_says_what_the_largest_step_of_each_backbone_needs(script, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "listed", lambda what: [])
    said = script("run", *TABLE, f"results.dir={tmp_path}").stdout
    assert said.count("memory of a step (fp32, by formula): MiniLM-L6 up to 0.") == 1
    assert "warning" not in said
    monkeypatch.setattr(workers, "listed", lambda what: ["81559", "100"] if what == "memory.total" else [])
    said = script("run", *TABLE, f"results.dir={tmp_path}").stdout
    assert "warning: 6 of 6 cells may need more than the 0 GB of this GPU; train.checkpoint_layers=true or" in said


@pytest.mark.parametrize("saving", ["train.accumulate=4", "train.checkpoint_layers=true", "data.max_length=64"])
def test_a_cell_needs_less_with_what_saves_memory(saving):
    assert memory.needed(configure(*XXL, saving)) < 0.6 * memory.needed(configure(*XXL))


def test_full_fine_tuning_needs_gradients_and_averages_of_all_weights():
    full, dcft = (memory.needed(configure(*XXL, f"method={name}", "preset=table9")) for name in ("full", "dcft"))
    assert 12 * 1.5e9 < full - dcft < 12 * 1.6e9


def test_a_backbone_of_unknown_size_has_no_estimate(tmp_path):
    assert memory.needed(configure("model=tiny-bert", "task=toy_cls", "model.name=my-own")) is None
