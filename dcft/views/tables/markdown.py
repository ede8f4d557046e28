"""A grid in Markdown: pipes aligned, best bold, second best underlined."""

from dcft.errors import printable
from dcft.views.tables.grid import Grid, Value

SPECIAL = {"\\": r"\\", "|": r"\|", "`": r"\`", "*": r"\*", "<": "&lt;", "](": r"]\(", "]:": r"]\:"}
MARKS = {"": "{}", "best": "**{}**", "second": "<u>{}</u>"}


def escape(text: str) -> str:
    """Text as Markdown shows it: no cell ends in it, and it holds no HTML, no link, no code and no bold."""
    text = printable(text)
    for special, escaped in SPECIAL.items():
        text = text.replace(special, escaped)
    return text


def markdown(grid: Grid) -> str:
    """The caption, the table and its notes."""
    notes = "\n".join(f"- {escape(note)}" for note in grid.notes)
    return f"{escape(grid.caption)}\n\n{body(grid)}\n\n{notes}\n"


def body(grid: Grid) -> str:
    """The table without caption and notes."""
    heading = [escape(": ".join(column.titles)) for column in grid.columns]
    lines = [[_cell(value) for value in line.values] for group in grid.groups for _, line in group.lines]
    lines = [heading, *lines]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(heading))]
    rows = [
        " | ".join(
            text.ljust(width) if column.stub else text.rjust(width)
            for text, width, column in zip(line, widths, grid.columns, strict=True)
        )
        for line in lines
    ]
    rule = "|".join(
        "-" * (width + 2) if column.stub else "-" * (width + 1) + ":"
        for width, column in zip(widths, grid.columns, strict=True)
    )
    return "\n".join([f"| {rows[0]} |", f"|{rule}|", *(f"| {row} |" for row in rows[1:])])


def _cell(value: Value) -> str:
    return escape(value.separator).join(MARKS[part.mark].format(escape(part.text)) for part in value.parts)
