"""Tables of sweeps, records and the paper's printed figures.

`build`, `published_grid` and `setup` return a `Grid`; `show` prints it, `write` writes it in every format. A grid holds
texts, numbers, marks and paths of records. The formats (Markdown, LaTeX, CSV, HTML) read nothing but the grid.
"""

from pathlib import Path

from dcft.errors import UserError
from dcft.results import atomic, costs
from dcft.results.outcomes import Outcomes
from dcft.results.sweeps import Sweep
from dcft.views.tables import cost, ours, statistics
from dcft.views.tables.baseline import find_baseline, has_row
from dcft.views.tables.csv import long_csv
from dcft.views.tables.grid import Grid
from dcft.views.tables.html import html
from dcft.views.tables.latex import latex
from dcft.views.tables.markdown import markdown
from dcft.views.tables.published import CAPTIONS, published_grid
from dcft.views.tables.setup import SETUP, SETUP_VIEWS, setup
from dcft.views.tables.terminal import show

__all__ = [
    "FORMATS",
    "PUBLISHED",
    "SETUP",
    "SETUP_VIEWS",
    "VIEWS",
    "Grid",
    "build",
    "has_row",
    "html",
    "latex",
    "long_csv",
    "markdown",
    "published_grid",
    "setup",
    "show",
    "views",
    "write",
]

VIEWS = ["ours", "published", "compare", "statistics", "cost"]
PUBLISHED = list(CAPTIONS)  # the paper's tables
FORMATS = {"md": markdown, "tex": latex, "csv": long_csv, "html": html}


def build(
    sweep: Sweep, results: Path, view: str = "compare", protocol: str = "best", baseline: str | None = None
) -> Grid:
    """A view of a sweep.

    Args:
        sweep: what was planned.
        results: the folder with the records.
        view: "ours", "published", "compare" (ours where the paper has nothing), "statistics" or "cost".
        protocol: which evaluation counts: "best", "last" or "half".
        baseline: a row's title or a method; None: the sweep's own in "statistics", none elsewhere.

    Raises:
        UserError: if there is no such view, protocol or row, or nothing published.
    """
    if view not in VIEWS:
        raise UserError(f"view={view}: there is no such view; give one of {', '.join(VIEWS)}")
    outcomes = Outcomes(sweep, Path(results), protocol)
    chosen = find_baseline(outcomes, baseline)
    if view == "published":
        return published_grid(sweep.table)
    if view == "statistics":
        return statistics.view(outcomes, chosen)
    if view == "cost":
        return cost.view(outcomes)
    return (ours.compare if view == "compare" else ours.ours)(outcomes, chosen if baseline else {})


def views(sweep: Sweep, results: Path) -> list[str]:
    """The views that a sweep has.

    "compare" needs rows of the paper, "statistics" several seeds or predictions, "cost" the size of the weights.
    """
    records = sweep.by_name(results)[0].values()
    wanted = {
        "ours": True,
        "compare": any(row.paper for row in sweep.rows),
        "statistics": len(sweep.seeds) > 1 or any(record.predictions for record in records),
        "cost": any(map(costs.known, records)),
    }
    return [view for view, wants in wanted.items() if wants]


def write(grid: Grid, results: Path) -> list[Path]:
    """Write `results/tables/NAME.VIEW.{md,tex,csv,html}` (`VIEW-PROTOCOL` for other protocols than best).

    Raises:
        UserError: if the folder cannot be written.
    """
    folder = Path(results) / "tables"
    texts = {folder / f"{grid.label}.{suffix}": render(grid) for suffix, render in FORMATS.items()}
    for path, text in texts.items():
        try:
            if not path.is_file() or path.read_bytes() != text.encode():  # flushing to disk takes longer than rendering
                atomic.write(path, text)
        except OSError as error:
            raise UserError(f"{folder} cannot be written ({error.strerror}); give another results folder") from error
    return list(texts)
