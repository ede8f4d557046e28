"""From a table's definition (conf/table) to its cells, without running any."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from dcft.config import RunConfig, build


@dataclass
class PlannedCell:
    """One cell of a table: where it stands, and the settings that make it."""

    row: int
    column: str  # task
    seed: int
    overrides: list[str]
    config: RunConfig

    @property
    def command(self) -> str:
        """The command that runs this cell alone."""
        return " ".join(["python run.py", *self.overrides])


def plan(table: dict[str, Any], overrides: list[str], compose: Callable[[list[str]], DictConfig]) -> list[PlannedCell]:
    """All cells of a table: rows times columns times seeds.

    Args:
        table: the `table` node of conf/table: `base`, `rows` (settings of a row), `columns` (tasks) and `seeds`.
        overrides: from the command line; they go before the table's own settings.
        compose: composes one cell's configuration from its overrides.

    Raises:
        UserError: if a cell cannot be composed.
    """
    given = {override.split("=", 1)[0] for override in overrides}
    cells = []
    for index, row in enumerate(table["rows"]):
        for column in table["columns"]:
            for seed in table["seeds"]:
                settings = {"task": column, **table["base"], **row, "seed": seed}
                cell = [f"{key}={value}" for key, value in settings.items() if key not in given] + overrides
                cells.append(PlannedCell(index, column, seed, cell, build(compose(cell))))
    return cells
