"""How a statement of results/paper/claims.csv is checked: by a function that is named like the claim.

The function gets the printed figures and the number that the statement names, if it names one. It returns what was
computed and a verdict.
"""

from collections.abc import Callable
from decimal import Decimal

import pandas as pd

from dcft.errors import UserError
from dcft.paper.audit.averages import by_task
from dcft.paper.printed import value


class PrintedRows:
    """The printed figures, by row."""

    def __init__(self, tables: dict[str, pd.DataFrame], cells: pd.DataFrame):
        self.cells = cells
        self.others = tables["other_papers"]

    def lines(self, table: str, quantity: str = "score", **reading) -> list[pd.DataFrame]:
        """The cells of every row of a table that reads like this, one frame a row.

        Raises:
            UserError: if there is none.
        """
        part = self.cells[(self.cells["table"] == table) & (self.cells["quantity"] == quantity)]
        for name, wanted in reading.items():
            part = part[part[name] == wanted]
        if part.empty:
            words = ", ".join(f"{name}={wanted}" for name, wanted in reading.items())
            raise UserError(f"{table}.csv has no row with {quantity} and {words}, which a claim of the text is about")
        return [row for _, row in part.groupby("line", sort=False)]

    def texts(self, table: str, quantity: str = "score", **reading) -> dict[str, str]:
        """The figures of the first such row as printed, by task."""
        return by_task(self.lines(table, quantity, **reading)[0])

    def values(self, table: str, quantity: str = "score", **reading) -> dict[str, Decimal]:
        """The same as numbers."""
        return {task: value(task, text) for task, text in self.texts(table, quantity, **reading).items()}


Outcome = tuple[str, str]  # what was computed, and a verdict
CLAIMS: dict[str, Callable[..., Outcome]] = {}
NUMBERED: set[str] = set()  # claims that name a number; their functions get it


def claim(function: Callable[[PrintedRows], Outcome]):
    """Register the check of the claim that has the function's name in claims.csv."""
    CLAIMS[function.__name__] = function
    return function


def numbered(function: Callable[[PrintedRows, Decimal], Outcome]):
    """The same for a claim that names a number."""
    NUMBERED.add(function.__name__)
    return claim(function)
