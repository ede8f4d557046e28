"""Views of the small records of tests/fixtures."""

from pathlib import Path

from dcft.results import sweeps
from dcft.views import tables
from tests.fixtures.make import RESULTS


def build(name: str, view: str = "compare", results: Path = RESULTS, **settings) -> tables.Grid:
    """A view of one of the sweeps there."""
    return tables.build(sweeps.read(sweeps.path_of(name, results)), results, view, **settings)


def texts(grid: tables.Grid, source: str = "ours", quantity: str = "score") -> dict[tuple[str, str], dict[str, str]]:
    """What is printed, by backbone and row, and by column."""
    return {
        (row.model, row.title): {c.key: v.text for c, v in zip(grid.columns, line.values, strict=True) if not c.stub}
        for group in grid.groups
        for row, line in group.lines
        if (line.source, line.quantity) == (source, quantity)
    }
