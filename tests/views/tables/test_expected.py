"""Every view in every format, to the byte. `UPDATE=1 pytest tests/views/tables/test_expected.py` writes them: then read
the difference before it is committed."""

import os

import pytest

from dcft.results import sweeps
from dcft.views import tables
from tests.conftest import ROOT
from tests.fixtures.make import RESULTS, make
from tests.views.tables.conftest import build

EXPECTED = RESULTS.parent / "expected"
SWEEPS = [path.stem for path in sorted((RESULTS / "sweeps").glob("*.json"))]
VIEWS = [
    *(
        (name, view, "best")
        for name in SWEEPS
        for view in tables.views(sweeps.read(sweeps.path_of(name, RESULTS)), RESULTS)
    ),
    ("table4", "ours", "last"),
    ("table4", "compare", "half"),
    ("table1", "ours", "half"),
]
FROM_THE_PAPER = [(name, "published") for name in tables.PUBLISHED]
FROM_CONF = [(name, view) for name in tables.SETUP for view in ("ours", "compare")]


def same_bytes(grid: tables.Grid, folder) -> None:
    """The grid in every format is what the folder has; with UPDATE=1 it is put there."""
    if os.environ.get("UPDATE"):
        tables.write(grid, folder)
    for suffix, render in tables.FORMATS.items():
        path = folder / "tables" / f"{grid.label}.{suffix}"
        assert render(grid).encode() == path.read_bytes(), path


@pytest.mark.parametrize(("name", "view", "protocol"), VIEWS)
def test_views_of_records(name, view, protocol):
    grid = build(name, view, protocol=protocol)
    assert grid.view == view
    same_bytes(grid, EXPECTED)


@pytest.mark.parametrize(("name", "view"), FROM_THE_PAPER + FROM_CONF)
def test_committed_tables_are_those_of_the_figures_and_the_configuration(name, view):
    same_bytes(tables.setup(name, view) if name in tables.SETUP else tables.published_grid(name), ROOT / "results")


def test_the_records_are_those_of_their_script(tmp_path):
    make(tmp_path)
    written = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert written == {path.relative_to(RESULTS): path.read_bytes() for path in RESULTS.rglob("*.json")}
