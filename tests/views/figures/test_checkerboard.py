"""The figure of checkerboards in real adapters, and what the records of their runs keep of them."""

import shutil

import numpy as np
import pytest

from dcft.results import records, updates
from dcft.sweep import plan, request
from dcft.training.run import run_cell
from dcft.views import figures
from tests.conftest import SHORT, configure


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


def test_a_record_keeps_what_its_adapter_has_learned(trained):
    sweep, folder = trained
    kept = {path.name: records.read(path).updates for path in (folder / "results" / "runs").glob("*/*/*.json")}
    for name, measured in kept.items():
        found = list(updates.read(folder / "outputs" / "runs" / name.removesuffix(".json") / "model"))
        assert measured.stable_rank == np.median([one.stable_rank for one in found])
        assert measured.checkerboard == np.median([one.checkerboard for one in found])
    assert len(kept) == 2


def test_saved_adapters_are_drawn_and_missing_ones_counted(trained, cells):
    picture = draw(trained, cells)
    ratios, *shown = picture.figure.axes
    assert [label.get_text() for label in ratios.get_yticklabels()] == ["DCFT (d=8)", "DCFT (d=2)"]
    assert [axes.get_title() for axes in shown] == ["DCFT (d=8): d=8, s=8", "DCFT (d=2): d=2, s=2"]
    assert "left out" not in picture.note.partition("Power")[2].replace("constant part left out", "")
    [first, second] = sorted((trained[1] / "outputs" / "runs").glob("*/model"))
    found = list(updates.read(first))
    assert len(found) == 12
    image = shown[found[0].kernel == 2].images[0].get_array()
    left, right = found[0].factors
    assert np.allclose(image, (left @ right)[:64, :64])

    shutil.rmtree(first)
    assert "Without a saved adapter, left out: 1 of 2 DCFT rows" in draw(trained, cells).note
    shutil.rmtree(second)
    assert draw(trained, cells) is None
