"""What a measurement leaves: a JSON file with the machine and the code it was made with, and a page to read."""

import json
from pathlib import Path
from typing import Any

from dcft import atomic, provenance, records


def keep(folder: Path, name: str, report: dict[str, Any], page: list[str]) -> None:
    """Write `folder/name.json` and `name.md`, and print the page.

    Args:
        folder: results/bench.
        name: the measurement's.
        report: settings and numbers; hardware, versions, git state and time are added.
        page: lines of Markdown; what it was measured on is added.
    """
    report = report | {
        "hardware": provenance.hardware(),
        "versions": provenance.versions(),
        "git": provenance.git(),
        "finished": records.now(),
    }
    hardware = report["hardware"]
    page = [*page, "", f"Measured on {hardware.get('gpu') or hardware['cpu']}, {hardware['cores']} cores."]
    atomic.write(folder / f"{name}.json", json.dumps(report, indent=1, allow_nan=False) + "\n")
    atomic.write(folder / f"{name}.md", "\n".join(page) + "\n")
    print("\n".join(page))
    print(folder / f"{name}.json")


def table(header: list[str], rows: list[list[Any]]) -> list[str]:
    """Lines of a Markdown table; the first column is text, the others are numbers or blank."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return ["| " + " | ".join("" if cell is None else str(cell) for cell in line) + " |" for line in lines]
