"""Checkerboards: the ratio of powers, updates read without torch, and the figure of real adapters."""

import shutil

import numpy as np
import pytest
import torch

from dcft.sweep import plan, request
from dcft.training.run import run_cell
from dcft.tuners.deconvolution import delta_weight
from dcft.views import figures
from dcft.views.figures.checkerboard import Update, ratio, updates
from tests.conftest import SHORT, configure


def test_a_known_checkerboard_has_the_ratio_of_its_explicit_fourier_sums():
    """Noise and a pattern that repeats every 4 entries; each sum is written out, frequency by frequency."""
    out, inside, period = 12, 20, 4
    draw = np.random.default_rng(0)
    delta = draw.normal(size=(out, inside)) + np.tile(draw.normal(size=(period, period)), (3, 5))
    i, j = np.meshgrid(range(out), range(inside), indexing="ij")
    at, elsewhere = [], []
    for u in range(out):
        for v in range(inside):
            power = abs((delta * np.exp(-2j * np.pi * (u * i / out + v * j / inside))).sum()) ** 2
            multiple = u % (out // period) == 0 and v % (inside // period) == 0
            if (u, v) != (0, 0):
                (at if multiple else elsewhere).append(power)
    assert len(at) == 15
    assert ratio(delta, period) == pytest.approx(np.mean(at) / np.mean(elsewhere), rel=1e-9)
    assert ratio(delta, period) > 10


def test_independent_normal_entries_have_one():
    draw = np.random.default_rng(0)
    ratios = [ratio(draw.normal(size=(64, 96)), 8) for _ in range(400)]
    assert np.mean(ratios) == pytest.approx(1, abs=4 * np.std(ratios) / 20)


@pytest.mark.parametrize(("kernel", "stride"), [(4, 4), (4, 3), (4, 1)])
def test_an_update_is_that_of_the_tuner(kernel, stride):
    draw = np.random.default_rng(0)
    A, B, C = (draw.normal(size=size) for size in ((2, 6), (9, 2), (kernel, kernel)))
    expected = delta_weight(*map(torch.from_numpy, (A, B, C)), stride)
    assert np.allclose(Update("m", A, B, C, stride).delta, expected.numpy(), rtol=0, atol=1e-12)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two DCFT rows of the demo on a tiny backbone, run for four steps."""
    folder = tmp_path_factory.mktemp("trained")
    places = [f"results.dir={folder / 'results'}", f"outputs.dir={folder / 'outputs'}"]
    sweep = plan.load_plan(request.read(["table=demo", "model=tiny-bert", *SHORT, *places]))
    for cell in sweep.cells:
        if cell.task == "toy_cls" and sweep.rows[cell.row].method == "dcft":
            run_cell(configure(*cell.overrides))
    return sweep, folder


def draw(trained, cells) -> figures.Picture | None:
    sweep, folder = trained
    pictures = figures.of_sweep(sweep, folder / "results", cells)
    return next((picture for picture in pictures if picture.name == f"checkerboard.{sweep.name}"), None)


def test_saved_adapters_are_drawn_and_missing_ones_counted(trained, cells):
    picture = draw(trained, cells)
    ratios, *shown = picture.figure.axes
    assert [label.get_text() for label in ratios.get_yticklabels()] == ["DCFT (d=8)", "DCFT (d=2)"]
    assert [axes.get_title() for axes in shown] == ["DCFT (d=8): d=8, s=8", "DCFT (d=2): d=2, s=2"]
    assert "left out" not in picture.note.partition("Power")[2].replace("constant part left out", "")
    [first, second] = sorted((trained[1] / "outputs" / "runs").glob("*/model"))
    found = list(updates(first))
    assert len(found) == 12
    image = shown[found[0].kernel == 2].images[0].get_array()
    assert np.allclose(image, found[0].delta[:64, :64])

    shutil.rmtree(first)
    assert "Without a saved adapter, left out: 1 of 2 DCFT rows" in draw(trained, cells).note
    shutil.rmtree(second)
    assert draw(trained, cells) is None
