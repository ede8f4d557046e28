"""A grid as CSV in the long format: one line a figure, blanks included, each with the table's caption."""

import csv
import io

from dcft.errors import printable
from dcft.views.tables.grid import Grid, Part

HEADING = (
    "table view protocol model method row task source quantity metric value text std n mark records caption".split()
)


def escape(text: str) -> str:
    """Text as a spreadsheet shows it: a quote keeps what is no number from being run as a formula."""
    text = printable(text)
    if not text.lstrip().startswith(("=", "+", "-", "@")):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def long_csv(grid: Grid) -> str:
    """One line for each figure of the table.

    `value`, `std` (in the unit printed; percent for scores) and `n` are numbers, `text` is what is printed; `records`
    are paths below the results folder, separated by blanks. A pair has a line for each of its metrics.
    """
    file = io.StringIO()
    writer = csv.DictWriter(file, HEADING, lineterminator="\n")
    writer.writeheader()
    for group in grid.groups:
        for row, line in group.lines:
            for column, value in zip(grid.columns, line.values, strict=True):
                if column.stub:
                    continue
                for part in value.parts or [Part("")]:
                    fields = {
                        "table": grid.name,
                        "view": grid.view,
                        "protocol": grid.protocol,
                        "model": line.model or row.model,
                        "method": row.method,
                        "row": row.title,
                        "task": line.task or column.key,
                        "source": line.source,
                        "quantity": column.key if line.task else line.quantity,
                        "metric": part.name,
                        "value": "" if part.number is None else f"{part.number:.10g}",
                        "text": part.text,
                        "std": "" if part.std is None else f"{part.std:.10g}",
                        "n": "" if value.n is None else value.n,
                        "mark": part.mark,
                        "records": " ".join(value.records),
                        "caption": grid.caption,
                    }
                    writer.writerow({key: escape(str(value)) for key, value in fields.items()})
    return file.getvalue()
