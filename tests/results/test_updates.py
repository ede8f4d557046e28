"""Learned updates: two factors whose product is the tuner's matrix, its rank, and its checkerboard."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from dcft.results import updates
from dcft.results.updates import Update
from dcft.tuners.deconvolution import delta_weight

SHAPES = pytest.mark.parametrize(("kernel", "stride"), [(4, 4), (4, 3), (4, 1)])


def drawn(kernel: int, stride: int) -> tuple[Update, np.ndarray]:
    """A random update of rank 2, and the matrix that the tuner makes of it."""
    draw = np.random.default_rng(0)
    A, B, C = (draw.normal(size=size) for size in ((2, 6), (9, 2), (kernel, kernel)))
    return Update("m", A, B, C, stride), delta_weight(*map(torch.from_numpy, (A, B, C)), stride).numpy()


@SHAPES
def test_an_update_is_that_of_the_tuner(kernel, stride):
    update, delta = drawn(kernel, stride)
    left, right = update.factors
    assert np.allclose(left @ right, delta, rtol=0, atol=1e-12)
    assert update.stable_rank == pytest.approx(np.linalg.norm(delta) ** 2 / np.linalg.norm(delta, 2) ** 2, rel=1e-12)


@SHAPES
def test_a_checkerboard_is_the_ratio_of_its_explicit_fourier_sums(kernel, stride):
    """Each sum is written out, frequency by frequency."""
    update, delta = drawn(kernel, stride)
    period = {4: 4, 3: 3, 1: 4}[stride]
    out, inside = (size // period * period for size in delta.shape)
    i, j = np.meshgrid(range(out), range(inside), indexing="ij")
    at, elsewhere = [], []
    for u in range(out):
        for v in range(inside):
            wave = np.exp(-2j * np.pi * (u * i / out + v * j / inside))
            power = abs((delta[:out, :inside] * wave).sum()) ** 2
            multiple = u % (out // period) == 0 and v % (inside // period) == 0
            if (u, v) != (0, 0):
                (at if multiple else elsewhere).append(power)
    assert len(at) == period**2 - 1
    assert update.checkerboard == pytest.approx(np.mean(at) / np.mean(elsewhere), rel=1e-9)


def test_a_known_checkerboard_is_strong_and_independent_entries_have_one():
    draw = np.random.default_rng(0)
    C = draw.normal(size=(4, 4))
    constant, noise = np.ones((1, 20)), draw.normal(size=(1, 20))
    assert Update("m", np.concatenate([constant, noise]), np.concatenate([constant, noise]).T, C, 4).checkerboard > 10
    one = np.ones((1, 1))  # the update is its kernel
    ratios = [Update("m", one, one, draw.normal(size=(64, 64)), 8).checkerboard for _ in range(400)]
    assert np.mean(ratios) == pytest.approx(1, abs=4 * np.std(ratios) / 20)


def test_random_updates_are_the_same_reference_for_one_matrix_and_for_many():
    """Drawn once each, a few matrices differ by a factor of ten."""
    one = Update("m", np.ones((1, 48)), np.ones((48, 1)), np.ones((8, 8)), 8)
    few, many = (np.median(updates.redrawn([one] * count)) for count in (4, 40))
    assert few == pytest.approx(many, rel=0.2)
    assert few == np.median(updates.redrawn([one] * 4)), "a repeated run has the same record"


def test_what_has_learned_nothing_or_is_another_methods_has_no_numbers(tmp_path):
    assert updates.measure(tmp_path) is None
    zeros = {f"m.dcft_{letter}": np.zeros(shape) for letter, shape in (("A", (1, 3)), ("B", (3, 1)), ("C", (2, 2)))}
    save_file(zeros, tmp_path / updates.ADAPTER)
    for kind in ("DCFT", "LORA"):
        (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": kind, "stride": 2}))
        assert updates.measure(tmp_path) is None


def test_a_kernel_of_one_entry_has_no_pattern(tmp_path):
    save_file(
        {f"m.dcft_{letter}": np.ones(shape) for letter, shape in (("A", (1, 3)), ("B", (3, 1)), ("C", (1, 1)))},
        tmp_path / updates.ADAPTER,
    )
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "DCFT", "stride": 1}))
    found = updates.measure(tmp_path)
    assert found.stable_rank == pytest.approx(1)
    assert (found.checkerboard, found.checkerboard_drawn) == (None, None)
