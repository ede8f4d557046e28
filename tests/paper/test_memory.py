"""The memory of a step by formula, beside the peak that the allocator counts."""

from dataclasses import replace

import pytest
import torch

from bench.step import backbones
from bench.step import memory as measured
from dcft.backbones import lean_attention
from dcft.paper import counts, memory
from dcft.training import methods
from tests.conftest import configure

SHAPE = replace(counts.SUBSTITUTES["minilm-l6"], layers=3)


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("method", ["dcft", "full"])
def test_the_formula_is_near_the_peak_on_a_cpu(method, checkpointed):
    """Three layers of MiniLM with random weights, eight rows of 96 tokens."""
    batch, length = 8, 96
    model = backbones.build("minilm-l6", SHAPE.layers)
    lean_attention.use(model, "lean")
    prepared = methods.prepare(model, configure("model=minilm-l6", "task=rte", f"method={method}"))
    model, params = prepared.model.train(), prepared.params
    if checkpointed:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], fused=True)
    words = torch.randint(10, 900, (batch, length))
    inputs = {"input_ids": words, "attention_mask": torch.ones_like(words), "labels": torch.zeros(batch, dtype=int)}

    def step():
        model(**inputs).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    peak = sum(measured.peak(model, optimizer, step, torch.device("cpu")).values())
    added = params.head if method == "full" else params.trainable
    formula = memory.step(SHAPE, params.trainable, batch, length, checkpointed=checkpointed, added=added)
    print(f"{method}, checkpointed={checkpointed}: {formula / peak:.2f} of {peak / 1e6:.0f} MB")
    assert 0.8 < formula / peak < 1.35


def test_activations_by_hand():
    """One layer, 2 wide, 4 inside, one head; two rows of 3 tokens: 6 tokens, two layers' worth of them."""
    shape = counts.Shape(2, 4, 1, vocabulary=5, heads=1)
    token = 4 * (8 * 2 + 2 * 4 + 2 * 3) + 2 * 2 + 3
    weights = 4 * (counts.backbone(shape) + 7)
    assert memory.step(shape, 7, 2, 3, added=7) == weights + 12 * 7 + 6 * token * 2
    assert memory.step(shape, 7, 2, 3, parts=2, added=7) == weights + 12 * 7 + 3 * token * 2
    assert memory.step(shape, 7, 2, 3, checkpointed=True, added=7) == weights + 12 * 7 + 4 * 6 * 2 + 6 * token * 2
