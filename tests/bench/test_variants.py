"""Ways that are timed side by side compute the same."""

import pytest
import torch

from bench import variants


@pytest.fixture
def parts():
    torch.manual_seed(0)
    return variants.passes(16, torch.device("cpu"))


def test_all_ways_give_the_same_gradients(parts):
    assert len(parts) == len(variants.SIZES) + 3
    for title, ways in parts.items():
        if title == variants.DROPOUT:
            continue
        results = {name: way() for name, way in ways.items() if name != "no adapter"}
        first = next(iter(results.values()))
        for name, gradients in results.items():
            assert len(gradients) == len(first) > 1
            for ours, theirs in zip(gradients, first, strict=True):
                assert (ours - theirs).norm() <= 1e-5 * theirs.norm(), f"{name} of {title}"


def test_all_ways_of_dropout_drop_as_much():
    for way in variants.passes(2048, torch.device("cpu"))[variants.DROPOUT].values():
        [gradient] = way()
        assert abs(float((gradient == 0).float().mean()) - variants.PROBABILITY) < 2e-3


def test_ratios_are_to_the_first_way():
    part = {"title": "a layer", "rows": [{"title": "no adapter", "ms": [1, 2]}, {"title": "used", "ms": [2, 6]}]}
    settings = {"rank": 8, "tokens": 4, "device": "cpu", "rounds": 2}
    page = variants.page({"settings": settings, "parts": [part]})
    assert "| a layer | used       | 4.00 | 2.500 |" in page
