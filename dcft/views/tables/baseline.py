"""The row that others are compared with: within its backbone, by title or by method."""

from dcft.errors import UserError
from dcft.results.outcomes import Outcomes
from dcft.results.sweeps import Row, Sweep


def find_baseline(outcomes: Outcomes, wanted: str | None) -> dict[str, int]:
    """The baseline's row of each backbone that has one, by the backbone's title.

    Args:
        outcomes: a sweep with its records.
        wanted: title of a row or name of a method, in any case; None: the sweep's own, if its rows have one.

    Raises:
        UserError: if no row is called so, or several of one backbone are.
    """
    name = wanted or outcomes.sweep.baseline
    if name is None:
        return {}
    baselines = {}
    for block, rows in outcomes.blocks().items():
        if matches := _matches(rows, name):
            if len(matches) > 1 and wanted:
                titles = ", ".join(outcomes.sweep.rows[index].title for index in matches)
                raise UserError(f"baseline={wanted} is several rows of {block}; give one of {titles}")
            baselines[block] = matches[0]
    if not baselines and wanted:
        raise UserError(
            f"baseline={wanted} is no row of {outcomes.sweep.name}; give one of {', '.join(_titles(outcomes.sweep))}"
        )
    return baselines


def has_row(sweep: Sweep, name: str) -> bool:
    """Whether a row of a sweep has this title or this method."""
    return bool(_matches(list(enumerate(sweep.rows)), name))


def _matches(rows: list[tuple[int, Row]], name: str) -> list[int]:
    """Rows with this title, else rows of this method."""
    titled = [index for index, row in rows if row.title.lower() == name.lower()]
    return titled or [index for index, row in rows if row.method == name.lower()]


def _titles(sweep: Sweep) -> list[str]:
    return list(dict.fromkeys(row.title for row in sweep.rows))
