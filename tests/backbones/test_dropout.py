"""Fast dropout has the distribution of dropout: its rate, its scale, independence, and the mask as its gradient."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from dcft.backbones import dropout
from tests.backbones.test_lean_attention import batch
from tests.backbones.test_lean_attention import classifier as deberta
from tests.backbones.test_lean_bert import classifier as bert

ELEMENTS = 2**20
SUSPICIOUS = 1e-4  # p-value below which a test fails; draws are seeded, so it fails always or never


def kept(p, shape=(ELEMENTS,), seed=0):
    torch.manual_seed(seed)
    return dropout.mask(torch.empty(shape), p) > 0


@pytest.mark.parametrize("p", [2**-16, 0.01, 0.1, 0.5, 0.9])
def test_the_rate_is_p(p):
    dropped = int((~kept(p)).sum())
    assert stats.binomtest(dropped, ELEMENTS, round(2**16 * p) / 2**16).pvalue > SUSPICIOUS


def test_the_rate_is_p_at_each_place_of_a_draw():
    """One 64-bit number serves four elements."""
    for place in range(4):
        dropped = int((~kept(0.1)[place::4]).sum())
        assert stats.binomtest(dropped, ELEMENTS // 4, 6554 / 2**16).pvalue > SUSPICIOUS


@pytest.mark.parametrize("distance", [1, 2, 3, 4, 8, 64, 384, 312 * 4, 624 * 4])
def test_positions_are_independent(distance):
    """Neighbours within a draw, rows of a layer, and the period of the generator's state."""
    first, second = kept(0.1)[:-distance], kept(0.1)[distance:]
    assert _independent(first, second)


def test_steps_are_independent():
    torch.manual_seed(0)
    first, second = (dropout.mask(torch.empty(ELEMENTS), 0.1) > 0 for _ in range(2))
    assert _independent(first, second)
    assert not torch.equal(first, second)


def _independent(first, second):
    counts = torch.bincount(2 * first.long() + second.long(), minlength=4).view(2, 2)
    return stats.chi2_contingency(counts.numpy(), correction=False).pvalue > SUSPICIOUS


def test_the_test_of_independence_notices_dependence():
    bits = kept(0.1)
    copied = torch.where(kept(0.99, seed=1), kept(0.1, seed=2), bits)  # one element in a hundred is copied
    assert not _independent(bits, copied)


@given(
    p=st.floats(1e-6, 1 - 1e-6),
    shape=st.lists(st.integers(1, 7), min_size=0, max_size=3),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
)
def test_kept_elements_have_the_inverse_of_their_probability(p, shape, dtype):
    x = torch.ones(shape, dtype=dtype)
    mask = dropout.mask(x, p)
    dropped = min(max(round(2**16 * p), 1), 2**16 - 1)
    scale = torch.tensor(2**16 / (2**16 - dropped), dtype=dtype)
    assert (mask.shape, mask.dtype) == (x.shape, dtype)
    assert ((mask == 0) | (mask == scale)).all()


def test_every_level_is_drawn_equally_often():
    """With p = k / 2^16 exactly the levels below k are dropped: the rate is right for every p at once."""
    torch.manual_seed(0)
    rates = [float((dropout.mask(torch.empty(ELEMENTS), k / 64) == 0).float().mean()) - k / 64 for k in range(1, 64)]
    assert max(map(abs, rates)) < 4.5 * 0.5 / ELEMENTS**0.5


def test_the_gradient_is_the_mask():
    x = torch.randn(31, 17, dtype=torch.float64, requires_grad=True)
    y = dropout.FastDropout(0.3)(x)
    y.sum().backward()
    torch.testing.assert_close(y, x * x.grad, rtol=0, atol=1e-15)
    assert 0 < (x.grad == 0).sum() < x.numel()


@pytest.mark.parametrize("layer", [dropout.FastDropout(0.3).eval(), dropout.FastDropout(0.0)])
def test_nothing_is_dropped_in_evaluations_or_with_probability_0(layer):
    x = torch.randn(8)
    state = torch.get_rng_state()
    assert torch.equal(layer(x), x)
    assert torch.equal(torch.get_rng_state(), state)


def test_everything_is_dropped_with_probability_1():
    assert not dropout.FastDropout(1.0)(torch.ones(8)).any()


def test_the_same_seed_draws_the_same_elements():
    assert torch.equal(kept(0.1, seed=3), kept(0.1, seed=3))
    assert not torch.equal(kept(0.1, seed=3), kept(0.1, seed=4))


@pytest.mark.parametrize("build", [lambda p: bert("bert", probability=p), lambda p: deberta(dropout=p)])
def test_a_model_drops_everywhere_by_it(build, monkeypatch):
    """Without PyTorch's dropout and with a mask of ones, training is evaluation: no other dropout is left."""
    model = build(0.5).train()
    dropout.use(model, "fast")
    different = model(**batch(9)).logits
    monkeypatch.setattr(dropout, "mask", lambda x, p: torch.ones_like(x))
    monkeypatch.setattr(torch, "dropout", None)
    logits = model(**batch(9)).logits
    assert not torch.equal(logits, different)
    torch.testing.assert_close(logits, model.eval()(**batch(9)).logits, rtol=0, atol=1e-12)


def test_attention_drops_probabilities_and_nothing_else():
    """With values that are the identity the context shows the dropped probabilities."""
    module, tokens = nn.Module(), 64
    query, key = torch.randn(2, 32, 4, tokens, 16, dtype=torch.float64)
    value = torch.eye(tokens, dtype=torch.float64).expand(32, 4, -1, -1)
    seen = torch.ones(32, 1, tokens, tokens, dtype=torch.bool)
    seen[..., 40:] = False
    probabilities, _ = dropout.attend(module, query, key, value, seen)
    torch.manual_seed(0)
    after, _ = dropout.attend(module, query, key, value, seen, dropout=0.1)
    assert not after[..., 40:].any()
    visible, factors = probabilities[..., :40], after[..., :40] / probabilities[..., :40]
    dropped = int((factors < 0.5).sum())
    assert stats.binomtest(dropped, visible.numel(), 6554 / 2**16).pvalue > SUSPICIOUS
    torch.testing.assert_close(factors[factors > 0.5], torch.full_like(factors[factors > 0.5], 65536 / (65536 - 6554)))


def test_the_choice_can_be_taken_back():
    model = bert("bert", probability=0.3)
    twin = copy.deepcopy(model)
    dropout.use(twin, "fast")
    dropout.use(twin, "torch")
    losses = []
    for one in (model, twin):
        torch.manual_seed(1)
        losses.append(one(**batch(20)).loss)
    assert torch.equal(*losses)
    with pytest.raises(ValueError, match="dropout=slow: give torch or fast"):
        dropout.use(model, "slow")
