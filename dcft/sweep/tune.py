"""The trials of a table: `tune: {train.lr: [1e-4, 1e-3], train.epochs: [9, 30]}` gives every row four on every task."""

from itertools import product
from typing import Any

from dcft.config.schema import KNOBS
from dcft.errors import UserError

NAMING = ("task", "model", "method", "seed", *KNOBS)  # settings by which rows, columns and seeds differ


def trials(table: dict[str, Any], given: dict[str, Any]) -> list[dict[str, Any]]:
    """The product of the grid of a table, each trial as settings of its cells; empty for a table without `tune`.

    Args:
        table: the definition, of conf/table.
        given: the settings of the command line.

    Raises:
        UserError: if the grid is none, or the command line gives a setting that it tunes.
    """
    grid, name = table.get("tune") or {}, f"table={table['name']}"
    if not isinstance(grid, dict):
        raise UserError(f"{name}: tune={grid}: give settings with lists of values")
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise UserError(f"{name}: tune.{key}={values}: give a list of values")
        if key in NAMING:
            raise UserError(f"{name}: tune.{key}: a table does not tune what names its cells; give each value a row")
        if key in given:
            tried = ", ".join(map(str, values))
            raise UserError(f"{key}={given[key]}: {name} tries {tried}; leave {key} out")
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())] if grid else []
