"""A grid on the terminal."""

import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcft.errors import printable
from dcft.views.tables.grid import Grid, Value

STYLES = {"": "", "best": "bold", "second": "underline"}


def show(grid: Grid, console: Console | None = None) -> None:
    """Print a table and its notes. A number is never cut: a table wider than the terminal runs on."""
    console = console or Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column, above in zip(grid.columns, [None, *grid.columns], strict=False):
        spanned = len(column.titles) > 1 and above and above.titles[0] == column.titles[0]  # named at the first column
        titles = ["", *column.titles[1:]] if spanned else column.titles
        table.add_column(
            Text("\n".join(map(printable, titles))), justify="left" if column.stub else "right", no_wrap=True
        )
    for group in grid.groups:
        for _, line in group.lines:
            table.add_row(*map(_cell, line.values))
        table.add_section()
    console.print(Text(printable(grid.caption), style="italic"))
    width = console.width
    console.width = max(width, console.measure(table, options=console.options.update(width=10_000)).maximum)
    console.print(table)
    console.width = width
    for note in grid.notes:
        console.print(Text(printable(f"- {note}")), style="dim")


def _cell(value: Value) -> Text:
    return Text(value.separator).join(Text(printable(part.text), style=STYLES[part.mark]) for part in value.parts)
