"""The audit's findings as text: on the terminal, in Markdown and in LaTeX."""

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from dcft.errors import UserError
from dcft.paper.audit import Audit
from dcft.paper.audit.findings import HOLDS, VERDICTS, Finding
from dcft.views.tables.latex import escape
from dcft.views.tables.markdown import escape as escape_markdown

RESULTS = Path("results/audit")
PIPED_WIDTH = 110  # characters, where there is no terminal to ask
KINDS = {  # kind of a finding -> the question that it answers, in the order of the report
    "average": "Does the mean of the printed figures give the printed average?",
    "equal rows": "Do different methods have different results?",
    "clash": "Is a figure that several tables print the same in all of them?",
    "grid": "Can each score be one run? An accuracy on N rows is k/N. A mean over seeds mostly is not; a median is.",
    "heading": "Does a column of Tables 9 and 10 hold what it says, by the official scripts?",
    "setting": "Are the settings in Tables 9 and 10, each under its right heading, the official scripts'?",
    "size": "Are the sizes in Tables 7 and 8 those of the complete data sets?",
    "parameters": "Does the formula give the printed size, in some unit?",
    "source": "Is a baseline's row a row of the paper that it was taken from?",
    "claim": "Do the tables and the formulas bear out the text?",
    "noise": "Is a printed lead of DCFT larger than chance gives? Listed: its bold wins, over the best other method.",
}
NOTE = (
    "Computed from the figures in results/paper by make audit; nothing is trained and no model is loaded. What holds "
    "is only counted; dcft.paper.audit.run() in Python gives every finding."
)
FINDING = {
    "table": "Where",
    "what": "What is checked",
    "printed": "Printed",
    "computed": "Computed",
    "verdict": "Verdict",
}
SIZE = {
    "table": "Table",
    "row": "Row, as we read it",
    "printed": "Printed",
    "computed": "By formula",
    "head": "Head, not printed",
    "agrees": "Agrees in",
    "note": "Note",
}
SIZES_NOTE = (
    "Every size in Tables 1 to 6 beside the number of parameters that the formula gives. 2^10 and 2^20: the two agree "
    "if k means 1,024 and M means 1,048,576. Rounded, cut: they agree only so. The head trains with every method."
)
NOISE_NOTE = (
    "A lead is a figure of a DCFT row above that of another method's row, full fine-tuning included. A bold win is a "
    "column that DCFT leads alone without full fine-tuning. A lead holds if it exceeds 1.96 standard errors of the "
    "difference of two single runs even if the runs are independent. It does not hold if it exceeds them not even if "
    "the runs are fully paired, right and wrong on the same rows as far as their scores allow. Where no method is "
    "better, about 5 % of the leads would exceed 1.96 errors by chance; of bold wins, picked as the best of several "
    "rows, more. Only dev rows vary here; seeds and the choice of the best evaluation add to the error."
)
NOISE_BOUNDS = (
    "Errors in percentage points. Accuracy and exact match: binomial. SQuAD's F1: at most binomial; fully paired, "
    "nothing bounds it below. CoLA and QQP: delta method, over all confusion matrices with the printed score and the "
    "class shares of the dev set. QQP: over accuracy and its mean with F1, since the paper does not say which is "
    "printed. STS-B: Spearman's error if independent; if paired Pearson's, of normal scores, as highly correlated as "
    "the labels allow. Avg.: from the tasks' errors, whose dev sets are independent. Rounding is ignored."
)
LATEX = r"""\documentclass[a4paper]{article}
\usepackage{array,booktabs,longtable}
\usepackage[landscape,margin=15mm]{geometry}
\newcolumntype{P}[1]{>{\raggedright\arraybackslash}p{#1mm}}
\setlength{\parindent}{0pt}
\begin{document}
"""


@dataclass
class Section:
    """A heading, a line of text and a table of strings; `widths` in mm on paper."""

    heading: str
    text: str
    table: pd.DataFrame
    widths: list[int]


def counts(findings: list[Finding]) -> pd.DataFrame:
    """The number of findings of each kind, by verdict."""
    frame = pd.DataFrame([vars(finding) for finding in findings])
    table = pd.crosstab(frame["kind"], frame["verdict"]).reindex(index=list(KINDS), columns=VERDICTS, fill_value=0)
    table.insert(0, "checked", table.sum(axis=1))
    return table.rename_axis(None, axis=1).rename_axis("kind").reset_index()


def listed(findings: list[Finding], kind: str) -> list[Finding]:
    """The findings that the report lists: those that do not hold or cannot be told, or a kind's headlines."""
    chosen = [finding for finding in findings if finding.kind == kind]
    headlines = [finding for finding in chosen if finding.headline]
    return headlines or [finding for finding in chosen if finding.verdict != HOLDS]


def findings_sections(audit: Audit) -> list[Section]:
    """The report on the findings."""
    sections = [Section("Summary", NOTE, counts(audit.findings).astype(str), [40, 25, 25, 25, 30])]
    for kind, question in KINDS.items():
        rows = listed(audit.findings, kind)
        if rows:
            table = pd.DataFrame([vars(finding) for finding in rows])[list(FINDING)].rename(columns=FINDING)
            sections.append(Section(kind.capitalize(), question, table, [26, 62, 50, 82, 22]))
    text = "Row by row; a score tells nothing where most printable scores are k/N, so not all tasks are here."
    sections.append(Section("Grid, row by row", text, audit.single_runs, [20, 60, 60, 20, 35, 40]))
    sections.append(Section("Noise, by table", NOISE_NOTE, audit.noise, [18, *[20] * 9]))
    figures = [14, 32, 32, 15, 11, 24, 24, 24, 13, 13, 15]
    sections.append(Section("Noise, by figure", NOISE_BOUNDS, audit.noise_by_figure, figures))
    return sections


def parameters_sections(audit: Audit) -> list[Section]:
    """The report on the printed sizes."""
    table = audit.parameters.copy()
    for column in ("computed", "head"):
        table[column] = ["" if pd.isna(count) or count == 0 else f"{count:,}" for count in table[column]]
    return [Section("Sizes", SIZES_NOTE, table[list(SIZE)].rename(columns=SIZE), [16, 54, 15, 26, 22, 30, 70])]


def show(audit: Audit, console: Console | None = None) -> None:
    """Print the sizes, the findings that do not hold and their number; one line each, since a terminal is narrow."""
    console = console or Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    [sizes] = parameters_sections(audit)
    columns = ["Table", "Row, as we read it", "Printed", "By formula", "Head, not printed", "Agrees in"]
    console.print(_grid(sizes.table[columns], title=sizes.heading, caption=sizes.text))
    for _, row in sizes.table[sizes.table["Note"] != ""].iterrows():
        console.print(f"  {row['Table']}, {row['Row, as we read it']}, {row['Printed']}: {row['Note']}", soft_wrap=True)
    for kind, question in KINDS.items():
        if rows := listed(audit.findings, kind):
            console.print(f"\n[bold]{kind.capitalize()}[/bold]: {question}")
            for finding in rows:
                line = f"{finding.table}: {finding.what}: printed {finding.printed or 'no figure'}; {finding.computed}"
                console.print(f"  {line} ({finding.verdict})", soft_wrap=True, markup=False)
    console.print(_grid(audit.noise, title="Noise, by table", caption=NOISE_NOTE))
    summary = counts(audit.findings)
    console.print(_grid(summary.astype(str), title="Summary", caption=NOTE))


def _grid(table: pd.DataFrame, **style) -> Table:
    grid = Table(box=SIMPLE_HEAD, title_justify="left", caption_justify="left", **style)
    for column in table:
        grid.add_column(column, overflow="fold")
    for _, row in table.iterrows():
        grid.add_row(*row)
    return grid


def markdown(title: str, sections: list[Section]) -> str:
    """A report in Markdown."""
    parts = [f"# {title}"]
    for section in sections:
        lines = [list(section.table.columns), ["---"] * len(section.table.columns), *section.table.values.tolist()]
        cells = [[escape_markdown(cell) for cell in line] for line in lines]
        parts += [f"## {section.heading}", section.text, "\n".join(f"| {' | '.join(line)} |" for line in cells)]
    return "\n\n".join(parts) + "\n"


def latex(title: str, sections: list[Section]) -> str:
    """A report as a LaTeX document that plain pdflatex compiles."""
    parts = [LATEX + rf"\section*{{{escape(title)}}}"]
    for section in sections:
        columns = "".join(f"P{{{width}}}" for width in section.widths)
        lines = [" & ".join(map(escape, row)) + r" \\" for row in section.table.values.tolist()]
        heading = " & ".join(map(escape, section.table.columns)) + r" \\"
        parts += [
            rf"\subsection*{{{escape(section.heading)}}}",
            escape(section.text),
            rf"\begin{{longtable}}{{{columns}}}",
            rf"\toprule {heading} \midrule \endhead \bottomrule \endfoot",
            "\n".join(lines),
            r"\end{longtable}",
        ]
    return "\n".join([*parts, r"\end{document}"]) + "\n"


def write(audit: Audit, out: Path = RESULTS) -> list[Path]:
    """Write findings and parameters as Markdown and LaTeX: all four files or, if something fails, none.

    Raises:
        UserError: if the folder cannot be written.
    """
    reports = {
        "findings": ("What the paper's own figures say", findings_sections(audit)),
        "parameters": ("Parameter counts: printed and computed", parameters_sections(audit)),
    }
    texts = {}
    for name, (title, sections) in reports.items():
        texts[f"{name}.md"] = markdown(title, sections)
        texts[f"{name}.tex"] = latex(title, sections)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".") as scratch:
            for name, text in texts.items():
                (Path(scratch) / name).write_text(text, encoding="utf-8")
            for name in texts:
                os.replace(Path(scratch) / name, out / name)
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}); give another folder with --out") from error
    return [out / name for name in texts]
