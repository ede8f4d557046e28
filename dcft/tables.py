"""Tables from records: terminal, Markdown and LaTeX. A view: it reads records and never runs anything."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from dcft import records
PlannedCell = object

PROTOCOL = "best evaluation on the dev set"


@dataclass
class View:
    """A table ready to be printed: scores as numbers, blanks as NaN, and what a reader must know."""

    name: str
    caption: str
    scores: pd.DataFrame  # index: method; columns: #Params, tasks, Avg.
    notes: list[str]


def build(table: dict[str, Any], cells: list[PlannedCell]) -> View:
    """The table from whatever records its cells have.

    A cell is the mean over seeds and blank if any of them is missing; so is an average over a blank cell.
    """
    found = {}
    for cell in cells:
        path = cell.config.record_path
        record = records.read(path) if path.is_file() else None
        found[cell.row, cell.column, cell.seed] = record if record and record["status"] == "done" else None
    titles = {cell.column: cell.config.task.title for cell in cells}
    lines = []
    for row in range(len(table["rows"])):
        line = {"Method": next(cell.config.method.title for cell in cells if cell.row == row), "#Params": float("nan")}
        for column, title in titles.items():
            seeds = [found[row, column, seed] for seed in table["seeds"]]
            line[title] = sum(r["score"] for r in seeds) / len(seeds) if all(seeds) else float("nan")
            if seeds[0]:
                line["#Params"] = seeds[0]["params"]["adapter"]
        line["Avg."] = pd.Series([line[title] for title in titles.values()]).mean(skipna=False)
        lines.append(line)
    scores = pd.DataFrame(lines).set_index("Method")
    return View(table["name"], table["caption"], scores, _notes(table, [r for r in found.values() if r], len(cells)))


def _notes(table: dict[str, Any], done: list[dict[str, Any]], planned: int) -> list[str]:
    """What the numbers are; nothing that would make them look like the paper's is left unsaid."""
    seeds = table["seeds"]
    notes = [f"{PROTOCOL}, in percent; {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"]
    if any(record["toy"] for record in done):
        notes.append("toy data, generated: no benchmark")
    partial = sorted({r["config"]["task"]["title"] for r in done if not r["data_source"]["complete"]})
    if partial:
        notes.append(f"a part of the data only: {', '.join(partial)}")
    limited = {(r["config"]["data"]["max_train"], r["config"]["data"]["max_eval"]) for r in done} - {(None, None)}
    if limited:
        notes.append("rows limited by data.max_train or data.max_eval")
    for title in sorted({r["config"]["model"]["title"] for r in done}):
        substitute = any(r["substitute_backbone"] for r in done if r["config"]["model"]["title"] == title)
        notes.append(f"backbone {title}" + (", not one of the paper's" if substitute else ""))
    if collapsed := sum(bool(record["collapsed"]) for record in done):
        notes.append(f"{collapsed} collapsed to one answer")
    if len(done) < planned:
        notes.append(f"{planned - len(done)} of {planned} cells have no record and are blank")
    return notes


def _text(view: View) -> pd.DataFrame:
    """Every cell as it is printed."""
    text = view.scores.map(lambda value: "" if pd.isna(value) else f"{value:.2f}")
    text["#Params"] = ["" if pd.isna(value) else f"{int(value):,}" for value in view.scores["#Params"]]
    return text


def _ranks(view: View) -> pd.DataFrame:
    """1 for the best of each column, 2 for the second best, as the paper marks them."""
    return view.scores.drop(columns="#Params").rank(ascending=False, method="min")


def _rich(view: View, **style) -> Table:
    table = Table(**style)
    table.add_column("Method")
    text = _text(view)
    for column in text.columns:
        table.add_column(column, justify="right")
    for method, values in text.iterrows():
        table.add_row(method, *values)
    return table


def show(view: View, console: Console | None = None) -> None:
    """Print the table and its notes."""
    console = console or Console()
    console.print(_rich(view, title=view.caption, caption="; ".join(view.notes)))


def markdown(view: View) -> str:
    """The table in Markdown."""
    console = Console(width=10_000, no_color=True)
    with console.capture() as capture:
        console.print(_rich(view, box=MARKDOWN))
    rows = "\n".join(line.rstrip() for line in capture.get().strip().splitlines())
    return f"{view.caption} ({'; '.join(view.notes)})\n\n{rows}\n"


def latex(view: View) -> str:
    """The table in LaTeX with booktabs: best bold, second best underlined."""
    ranks = _ranks(view)

    def mark(column: pd.Series) -> list[str]:
        style = {1: "textbf: --rwrap;", 2: "underline: --rwrap;"}
        return [style.get(rank, "") if column.name in ranks else "" for rank in ranks.get(column.name, column)]

    text = _text(view)
    text.index = [escape(name) for name in text.index]
    text.columns = [escape(name) for name in text.columns]
    ranks.columns = [escape(name) for name in ranks.columns]
    return text.style.apply(mark, axis=0).to_latex(
        hrules=True,
        column_format="l" + "r" * len(text.columns),
        caption=escape(f"{view.caption} ({'; '.join(view.notes)})"),
        label=f"tab:{view.name}",
        position_float="centering",
    )


def escape(text: str) -> str:
    """LaTeX's special characters as text."""
    replacements = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    replacements |= {character: f"\\{character}" for character in "&%$#_{}"}
    return "".join(replacements.get(character, character) for character in text)


def write(view: View, results: Path) -> list[Path]:
    """Write the table below results/tables as Markdown and LaTeX; returns the paths."""
    folder = results / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{view.name}.md", folder / f"{view.name}.tex"]
    for path, text in zip(paths, (markdown(view), latex(view)), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths
