"""The files of a measurement: JSON with every number, the machine and the versions, and a page computed from it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dcft.results import atomic, provenance, records

Page = Callable[[dict[str, Any]], list[str]]


def publish(folder: Path, name: str, report: dict[str, Any], page: Page, brief: Page | None = None) -> None:
    """Write `NAME.json` and `NAME.md`, print the page and the path of the JSON file.

    Args:
        folder: results/bench.
        name: of the files, without suffix.
        report: settings and numbers. Time is added; hardware, versions and git state too, where they are missing.
        page: makes a whole report lines of Markdown.
        brief: makes what is printed of it, for a long page.
    """
    made_with = {"hardware": provenance.hardware, "versions": provenance.versions, "git": provenance.git}
    report = report | {name: report.get(name) or ask() for name, ask in made_with.items()}
    report |= {"finished": records.now()}
    text, path = render(report, page), folder / f"{name}.json"
    atomic.write(path, json.dumps(report, indent=1, allow_nan=False) + "\n")
    atomic.write(path.with_suffix(".md"), text)
    print(render(report, brief) if brief else text, end="")
    print(path)


def render(report: dict[str, Any], page: Page) -> str:
    """The text of `NAME.md`: the page, then the machine."""
    hardware, on_cpu = report["hardware"], report["settings"].get("device") == "cpu"
    gpu = None if on_cpu else hardware.get("gpu")
    machine = f"{gpu or hardware['cpu']}, {plural(hardware['cores'], 'core')}"
    if not gpu and "threads" in hardware:
        machine += f", {plural(hardware['threads'], 'thread')}"
    return "\n".join([*page(report), "", f"Measured on {machine}; PyTorch {report['versions']['torch']}."]) + "\n"


def plural(n: int, noun: str) -> str:
    """A number and its noun: "1 core", "2 cores"."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def table(header: list[str], rows: list[list[Any]], text: int = 1) -> list[str]:
    """Lines of a Markdown table, padded so that it can be read as it is.

    Args:
        header: titles of the columns.
        rows: values by column; None is blank.
        text: number of columns on the left that hold text; the others hold numbers.
    """
    cells = [["" if value is None else str(value) for value in row] for row in (header, *rows)]
    widths = [max(2, *map(len, column)) for column in zip(*cells, strict=True)]
    padded = [
        [
            cell.ljust(width) if i < text else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in cells
    ]
    rule = ["-" * (width + 2) if i < text else "-" * (width + 1) + ":" for i, width in enumerate(widths)]
    head, *body = (f"| {' | '.join(row)} |" for row in padded)
    return [head, f"|{'|'.join(rule)}|", *body]
