"""attention=flash is the function that transformers computes, adapters included.

On a CPU the package's PyTorch backend stands in for its kernels: the same modules around it, called in the same order.
"""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from dcft.backbones import flash_attention, load
from dcft.errors import UserError
from dcft.results import records
from dcft.training import methods
from dcft.training.run import run_cell
from tests.conftest import SHORT, configure

NO_DROPOUT = ["+model.random.hidden_dropout_prob=0", "+model.random.attention_probs_dropout_prob=0"]
NO_DROPOUT += ["train.cls_dropout=0"]
SHAPES = {
    "v3": [],
    "v2-xxlarge": ["+model.random.conv_kernel_size=3", "+model.random.conv_act=gelu"],  # a convolution after layer 1
    "unshared": ["model.random.share_att_key=false"],  # positions have projections of their own
}
BACKENDS = {"cpu": "torch", "cuda": "triton"}
WITH_KERNEL = ["model.random.hidden_size=128", "model.random.num_attention_heads=4"]  # heads of 32


@pytest.fixture
def package():
    pytest.importorskip("disentangled_flash", reason="needs the kernels' package: pip install -e .[flash]")


def twice(backend: str, *settings: str) -> tuple[nn.Module, nn.Module]:
    """An adapted model, with transformers' attention and with the package's; its adapters are large enough to show."""
    config = configure("task=toy_pair", "model=tiny-deberta", "attention=plain", *NO_DROPOUT, *settings)
    torch.manual_seed(0)
    plain = load.load_backbone(config).model
    flashed = copy.deepcopy(plain)
    flash_attention.use(flashed, backend)
    pair = tuple(methods.prepare(model, config).model.train() for model in (plain, flashed))
    for model in pair:
        torch.manual_seed(1)
        for parameter in model.parameters():
            if parameter.requires_grad:
                nn.init.normal_(parameter, std=0.2)
    return pair


def batch(device: str = "cpu") -> dict[str, torch.Tensor]:
    mask = torch.ones(4, 48, dtype=torch.long)
    mask[1, 30:] = mask[3, 5:] = 0
    inputs = {"input_ids": torch.randint(5, 500, (4, 48)), "attention_mask": mask, "labels": torch.tensor([0, 1, 0, 1])}
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def assert_same(plain: nn.Module, flashed: nn.Module, inputs: dict, tolerance: float) -> None:
    """Logits, and gradients of all that trains, differ by no more than this part of the largest."""
    outputs = [model(**inputs) for model in (plain, flashed)]
    for output in outputs:
        output.loss.backward()
    close(outputs[1].logits, outputs[0].logits, tolerance)
    theirs = dict(flashed.named_parameters())
    assert list(theirs) == [name for name, _ in plain.named_parameters()]
    for name, parameter in plain.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad.any(), name
            close(theirs[name].grad, parameter.grad, tolerance, name)


def close(one: torch.Tensor, other: torch.Tensor, tolerance: float, name: str = "logits") -> None:
    assert (one - other).abs().max() <= tolerance * other.abs().max(), name


@pytest.mark.parametrize(
    ("method", "shape"), [("dcft", "v3"), ("dcft", "v2-xxlarge"), ("dcft", "unshared"), ("lora", "v3")]
)
def test_logits_and_gradients_are_those_of_transformers(package, method, shape):
    knobs = ["kernel=4"] if method == "dcft" else []
    plain, flashed = (m.double() for m in twice("torch", f"method={method}", *knobs, *SHAPES[shape]))
    inputs = batch()
    with torch.no_grad(), plain.disable_adapter():
        bare = plain(**inputs).logits
    assert (plain(**inputs).logits - bare).abs().max() > 0.1  # an adapter that takes no part would show
    assert_same(plain, flashed, inputs, 1e-6)  # transformers rounds the scale to float32


def test_projections_have_one_dtype_under_autocast(package):
    """PEFT's VeRA returns float32; a kernel would take the bfloat16 of the others for it."""
    _, flashed = twice("torch", "method=vera", "targets=qv")
    attention = flashed.base_model.model.deberta.encoder.layer[0].attention.self
    with torch.autocast("cpu", torch.bfloat16):
        parts = attention._project_qkv(torch.randn(2, 8, 32))
        parts += attention._project_active_positions(torch.randn(64, 32), torch.arange(9))
    assert {part.dtype for part in parts} == {torch.bfloat16}


def test_a_cell_trains_as_with_plain_attention(package, cell, monkeypatch):
    monkeypatch.setattr(flash_attention, "require", lambda: None)
    use, used = flash_attention.use, []
    monkeypatch.setattr(flash_attention, "use", lambda model: used.append(use(model, "torch")))
    settings = ["task=toy_pair", "model=tiny-deberta", "kernel=4", *NO_DROPOUT, *SHORT]
    runs = [records.read(run_cell(cell(*settings, f"attention={kind}"))) for kind in ("plain", "flash")]
    assert len(used) == 1
    for one, other in zip(*(run.history for run in runs), strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-4)


def test_without_a_gpu_or_the_package_one_line_says_so(cell, monkeypatch):
    config = cell("task=toy_pair", "model=tiny-deberta", "attention=flash")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="^attention=flash: its kernels need a CUDA device"):
        run_cell(config)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(flash_attention, "PACKAGE", "not_there")
    with pytest.raises(UserError, match="^attention=flash needs a package; pip install disentangled-flash"):
        run_cell(config)
    assert not config.work_dir.exists()


def test_what_has_no_kernel_is_refused(package):
    with pytest.raises(UserError, match="^attention=flash is DeBERTa's, and this backbone is a bert"):
        flash_attention.use(load.load_backbone(configure("task=toy_pair", "model=tiny-bert")).model)
    with pytest.raises(UserError, match="^attention=flash: no kernel for heads of size 8"):
        flash_attention.use(load.load_backbone(configure("task=toy_pair", "model=tiny-deberta")).model)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_kernels_compute_what_transformers_computes(package, any_device, shape):
    models = twice(BACKENDS[any_device], "kernel=4", *WITH_KERNEL, *SHAPES[shape])
    plain, flashed = (model.to(any_device) for model in models)
    assert_same(plain, flashed, batch(any_device), 1e-4)


@pytest.mark.parametrize("method", ["dcft", "lora", "vera"])
def test_in_bfloat16_the_kernels_are_off_by_its_rounding_alone(package, any_device, method):
    """Against float32: two ways to round differ from each other by more, and transformers' own fails for VeRA."""
    targets = ["kernel=4"] if method == "dcft" else ["targets=qv"]
    models = twice(BACKENDS[any_device], f"method={method}", *targets, *WITH_KERNEL)
    exact, flashed = (model.to(any_device) for model in models)
    inputs, found = batch(any_device), {}
    for model in (exact, flashed):
        with torch.autocast(any_device, torch.bfloat16, enabled=model is flashed):
            output = model(**inputs)
        output.loss.backward()
        gradients = [parameter.grad.flatten() for parameter in model.parameters() if parameter.requires_grad]
        found[model] = output.logits.float().flatten(), torch.cat(gradients)
    for rounded, expected in zip(found[flashed], found[exact], strict=True):
        assert 0 < (rounded - expected).norm() < 0.1 * expected.norm()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_cell_trains_with_the_kernels(package, cell, any_device, monkeypatch, precision):
    if any_device == "cpu":
        monkeypatch.setattr(flash_attention, "require", lambda: None)
        monkeypatch.setattr(flash_attention, "use", partial(flash_attention.use, backend="torch"))
    settings = ["task=toy_pair", "model=tiny-deberta", "kernel=4", *WITH_KERNEL, *SHORT, f"precision={precision}"]
    assert records.read(run_cell(cell(*settings, "attention=flash"))).status == "done"
