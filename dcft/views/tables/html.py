"""A grid as an HTML table: caption, headings with scope, classes best and second; no script, no style."""

import html as standard
from collections.abc import Callable
from pathlib import Path

from dcft.errors import printable
from dcft.views.tables.grid import Grid, Group, Part, Value
from dcft.views.tables.text import scripts

FRAMES = {"": "{}", "^": "<sup>{}</sup>", "_": "<sub>{}</sub>"}


def html(grid: Grid, link: Callable[[str], str] | None = None) -> str:
    """The table and its notes.

    Args:
        grid: the table.
        link: address of a record, given its path below the results folder; None: numbers link to nothing.
    """
    parts = [
        f'<table class="grid {escape(grid.view)}" id="{escape(grid.label)}">',
        f"<caption>{escape(grid.caption)}</caption>",
        f"<thead>\n{_heading(grid)}\n</thead>",
        *(_body(grid, group, link) for group in grid.groups),
        "</table>",
        '<ul class="notes">',
        *(f"<li>{escape(note)}</li>" for note in grid.notes),
        "</ul>",
    ]
    return "\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Text as HTML shows it, in an element or in an attribute's quotes."""
    return standard.escape(printable(text))


def _typeset(text: str) -> str:
    return "".join(FRAMES[place].format(escape(piece)) for place, piece in scripts(text))


def _heading(grid: Grid) -> str:
    if grid.levels == 1:
        cells = [f'<th scope="col">{_typeset(column.titles[0])}</th>' for column in grid.columns]
        return f"<tr>{''.join(cells)}</tr>"
    upper, lower, start = [], [], 0
    for title, span in grid.spans:
        if title:
            upper.append(f'<th scope="colgroup" colspan="{span}">{_typeset(title)}</th>')
            lower += [f'<th scope="col">{_typeset(c.titles[1])}</th>' for c in grid.columns[start : start + span]]
        else:
            upper.append(f'<th scope="col" rowspan="2">{_typeset(grid.columns[start].titles[0])}</th>')
        start += span
    return f"<tr>{''.join(upper)}</tr>\n<tr>{''.join(lower)}</tr>"


def _body(grid: Grid, group: Group, link: Callable[[str], str] | None) -> str:
    lines = [(row, line) for row, line in group.lines]
    rows = []
    for index, (_, line) in enumerate(lines):
        cells = [
            _stub(lines, index, place) if column.stub else _figure(line.values[place], link)
            for place, column in enumerate(grid.columns)
        ]
        kind = f' class="{line.source.split()[0]}"' if line.source in ("ours", "published", "difference") else ""
        rows.append(f"<tr{kind}>{''.join(cells)}</tr>")
    return "<tbody>\n" + "\n".join(rows) + "\n</tbody>"


def _stub(lines: list, index: int, place: int) -> str:
    """The name of a line, which spans the lines without one below it."""
    text = lines[index][1].values[place].text
    if not text:
        return "" if index else "<td></td>"
    span = 1
    while index + span < len(lines) and not lines[index + span][1].values[place].text:
        span += 1
    rows = f' rowspan="{span}"' if span > 1 else ""
    return f'<th scope="{"rowgroup" if span > 1 else "row"}"{rows}>{_typeset(text)}</th>'


def _figure(value: Value, link: Callable[[str], str] | None) -> str:
    """A number that links to its record, or opens the list of its records."""
    text = escape(value.separator).join(_part(part) for part in value.parts)
    if link and value.records and text:
        links = [f'<a href="{escape(link(path))}">{{}}</a>' for path in value.records]
        if len(links) == 1:
            text = links[0].format(text)
        else:
            items = "".join(
                f"<li>{a.format(escape(Path(p).stem))}</li>" for a, p in zip(links, value.records, strict=True)
            )
            text = f"<details><summary>{text}</summary><ul>{items}</ul></details>"
    return f"<td>{text}</td>"


def _part(part: Part) -> str:
    text = _typeset(part.text)
    if part.mark:
        tag = {"best": "strong", "second": "u"}[part.mark]
        return f'<{tag} class="{part.mark}">{text}</{tag}>'
    return text
