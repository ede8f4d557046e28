"""The report: one HTML page with all tables, figures and findings. Every number of ours links to its record.

The page loads no other file: pictures are inside.
"""

import base64
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd
from markupsafe import Markup

from dcft.config.flatten import flatten
from dcft.errors import printable
from dcft.paper import audit, printed
from dcft.paper.audit.findings import HOLDS
from dcft.results import atomic, records
from dcft.results.outcomes import Outcomes
from dcft.results.protocols import PROTOCOLS
from dcft.results.record import Git, Record
from dcft.results.sweeps import Cell, Sweep, read_all
from dcft.views import figures, tables
from dcft.views.audit import findings_sections
from dcft.views.tables import notes
from dcft.views.tables.published import CAPTIONS

PROTOCOL = "best"
UNLISTED = ("task", "model", "results", "outputs", "tracker")  # settings that the list of a record leaves out
VIEWS = {"compare": "Ours beside the paper's", "ours": "Ours", "statistics": "Signal and noise", "cost": "Costs"}


@dataclass
class Problem:
    """A run without a result, or with a doubtful one."""

    cell: Cell
    reason: str
    recorded: bool


@dataclass
class SweepSection:
    """A sweep on the page."""

    sweep: Sweep
    id: str
    labels: list[str]
    counts: dict[str, int]
    tables: list[tuple[str, Markup]] = field(default_factory=list)
    pictures: list[dict[str, str]] = field(default_factory=list)
    problems: dict[str, list[Problem]] = field(default_factory=dict)


def write(results: Path) -> Path:
    """Write `results/report.html`; returns its path.

    Raises:
        UserError: if a sweep or a file of results/paper cannot be read.
    """
    path = Path(results) / "report.html"
    atomic.write(path, build(Path(results)))
    return path


def build(results: Path) -> str:
    """The page as text; links to records are relative to the results folder."""
    cells = printed.cells(printed.read())
    sweeps = read_all(results)
    by_path, bad = records.read_all(results)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dcft.views"),
        autoescape=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"show": show, "quote": quote, "table": lambda grid: Markup(tables.html(grid))}
    checked = audit.run()
    return environment.get_template("report.html").render(
        protocol=PROTOCOLS[PROTOCOL].phrase,
        explained=PROTOCOLS[PROTOCOL].explanation,
        facts=facts(by_path.values()),
        sections=[_section(sweep, results, cells) for sweep in sweeps],
        printed=[tables.published_grid(name) for name in CAPTIONS],
        paper=[_picture(picture) for picture in figures.of_paper(cells)],
        checks=findings_sections(checked),
        checked=Counter(finding.verdict == HOLDS for finding in checked.findings),
        records=_summaries(by_path, sweeps),
        bad=[replace(one, path=one.path.relative_to(results)) for one in bad],
    )


def facts(kept: Iterable[Record]) -> dict[str, list[str]]:
    """Backbones, seeds, hardware, code and versions of the records: each value, with its number of records."""
    kept = list(kept)
    distinct: dict[str, Counter] = {
        "Backbones": Counter(record.model for record in kept),
        "Seeds": Counter(str(record.seed) for record in kept),
        "Hardware": Counter(show(record.hardware) for record in kept),
        "Code": Counter(commit(record.git) for record in kept),
        "Versions": Counter(show(record.versions) for record in kept),
    }
    lines = {name: [f"{value} ({n})" for value, n in counter.items()] for name, counter in distinct.items()}
    times = sorted(time for record in kept for time in (record.started, record.finished))
    return {"When": [f"{times[0]} to {times[-1]}"] if times else [], **lines} if kept else {}


def commit(git: Git | None) -> str:
    """A state of the code in words."""
    if git is None:
        return "no git repository"
    return f"commit {git.commit}" + (", with changes that are not committed (dirty)" if git.dirty else "")


def show(value: Any) -> str:
    """A value of a record on one line; nothing for None."""
    if is_dataclass(value):
        value = asdict(value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {show(item)}" for key, item in value.items() if item not in (None, {}))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _section(sweep: Sweep, results: Path, cells: pd.DataFrame) -> SweepSection:
    found, bad = sweep.by_name(results)
    reasons = {one.path.as_posix(): str(one) for one in bad}
    kinds = ("failed", "collapsed", "cannot be run", "left out", "not run yet")
    problems: dict[str, list[Problem]] = {kind: [] for kind in kinds}
    for cell in sweep.cells:
        record = found.get(cell.name)
        if cell.problem:
            problems["cannot be run"].append(Problem(cell, cell.problem, False))
        elif cell.record in reasons:
            problems["left out"].append(Problem(cell, reasons[cell.record], False))
        elif record is None:
            problems["not run yet"].append(Problem(cell, "", False))
        elif not record.done:
            problems["failed"].append(Problem(cell, record.error or "no reason kept", True))
        elif record.collapsed:
            problems["collapsed"].append(Problem(cell, "one answer to everything at its last evaluation", True))
    done = sum(cell.name in found and found[cell.name].done for cell in sweep.cells)
    counts = {"done": done} | {name: len(cells) for name, cells in problems.items()}
    section = SweepSection(
        sweep,
        f"sweep-{sweep.name}",
        notes.collect(Outcomes(sweep, results, PROTOCOL)).labels,
        counts,
        problems={k: v for k, v in problems.items() if v},
    )
    if found:
        section.tables = [(VIEWS[view], _table(sweep, results, view)) for view in _views(sweep, results)]
        section.pictures = [_picture(picture) for picture in figures.of_sweep(sweep, results, cells)]
    return section


def _views(sweep: Sweep, results: Path) -> list[str]:
    """The views of a sweep, "compare" first."""
    return sorted(tables.views(sweep, results), key=list(VIEWS).index)


def _table(sweep: Sweep, results: Path, view: str) -> Markup:
    return Markup(tables.html(tables.build(sweep, results, view, PROTOCOL), lambda path: f"#{quote(Path(path).stem)}"))


def _picture(picture: figures.Picture) -> dict[str, str]:
    content = base64.b64encode(picture.render("svg")).decode()
    return {
        "name": picture.name,
        "text": f"{picture.title}. {picture.note}",
        "source": f"data:image/svg+xml;base64,{content}",
    }


def _summaries(by_path: dict[str, Record], sweeps: list[Sweep]) -> list[dict[str, Any]]:
    """Every record, with its command and the settings that not all records share."""
    commands = {cell.record: cell.command for sweep in sweeps for cell in sweep.cells if cell.record}
    flat = {path: _settings(record.config) for path, record in by_path.items()}
    common = Counter((key, show(value)) for settings in flat.values() for key, value in settings.items())
    return [
        {
            "record": record,
            "path": path,
            "command": commands.get(path),
            "differs": {k: v for k, v in flat[path].items() if common[k, show(v)] < len(by_path)},
            "commit": commit(record.git),
        }
        for path, record in by_path.items()
    ]


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration with dots, without task and model (known by name) and without places."""
    return flatten({key: value for key, value in config.items() if key not in UNLISTED})
