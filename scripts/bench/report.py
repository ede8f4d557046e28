"""What a measurement leaves: a JSON file with the machine and the code it was made with, and a page to read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dcft.results import atomic, provenance, records


def publish(folder: Path, name: str, report: dict[str, Any], page: Callable[[dict[str, Any]], str]) -> None:
    """Write `folder/name.json` and `name.md`, and print the page.

    Args:
        folder: results/bench.
        name: the measurement's.
        report: settings and numbers; versions, git state and time are added, and the hardware if it is not there.
        page: makes the whole report a page of Markdown.
    """
    report = report | {
        "hardware": report.get("hardware") or provenance.hardware(),
        "versions": provenance.versions(),
        "git": provenance.git(),
        "finished": records.now(),
    }
    text = page(report)
    atomic.write(folder / f"{name}.json", json.dumps(report, indent=1, allow_nan=False) + "\n")
    atomic.write(folder / f"{name}.md", text)
    print(text, end="")


def keep(folder: Path, name: str, report: dict[str, Any], lines: list[str]) -> None:
    """`publish` these lines, and after them what was measured on; then print the path of the JSON file."""

    def page(report: dict[str, Any]) -> str:
        hardware = report["hardware"]
        where = f"Measured on {hardware.get('gpu') or hardware['cpu']}, {hardware['cores']} cores."
        return "\n".join([*lines, "", where]) + "\n"

    publish(folder, name, report, page)
    print(folder / f"{name}.json")


def table(header: list[str], rows: list[list[Any]]) -> list[str]:
    """Lines of a Markdown table; the first column is text, the others are numbers or blank."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return ["| " + " | ".join("" if cell is None else str(cell) for cell in line) + " |" for line in lines]
