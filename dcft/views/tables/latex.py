"""A grid in LaTeX: a fragment to \\input, for booktabs, graphicx and plain pdflatex."""

import re

from dcft.errors import printable
from dcft.views.tables.grid import Grid, Value
from dcft.views.tables.text import scripts

MARKS = {"": "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
ONE_PAGE = 40  # lines that fit on one beside the notes
SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SPECIAL |= {character: f"\\{character}" for character in "&%$#_{}"}
SYMBOLS = {  # what pdflatex cannot print by itself
    "Δ": r"\Delta",
    "γ": r"\gamma",
    "λ": r"\lambda",
    "ξ": r"\xi",
    "†": r"\dagger",
    "±": r"\pm",
    "−": "-",
    "×": r"\times",
    "≤": r"\le",
    "≥": r"\ge",
    "<": "<",
    ">": ">",
}


def escape(text: str) -> str:
    """Text as LaTeX prints it, special characters included; a symbol that is not known is printed as its code point."""
    return "".join(_character(character) for character in printable(text))


def _character(character: str) -> str:
    if character in SPECIAL:
        return SPECIAL[character]
    if character in SYMBOLS:
        return f"${SYMBOLS[character]}$"
    return character if ord(character) < 256 else f"[U+{ord(character):04X}]"


def typeset(text: str) -> str:
    """A label or heading, its super- and subscripts set as such."""
    frames = {"": "{}", "^": r"\textsuperscript{{{}}}", "_": r"\textsubscript{{{}}}"}
    return "".join(frames[place].format(escape(piece)) for place, piece in scripts(text))


def latex(grid: Grid) -> str:
    """The table with its caption and, below it, its notes; more lines than fit on a page become several tables."""
    groups = [[_line(line.values) for _, line in group.lines] for group in grid.groups]
    lines = [line for group in groups for line in [r"\midrule" + "\n" + group[0], *group[1:]]]
    pages = -(-len(lines) // ONE_PAGE)
    page = -(-len(lines) // pages)
    tables = [_table(grid, lines[start : start + page], start > 0) for start in range(0, len(lines), page)]
    notes = r" \\ ".join(escape(note) for note in grid.notes)
    tables[-1].insert(-1, rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize {notes}}}")
    return "\n".join([r"% \usepackage{booktabs,graphicx}", *(line for table in tables for line in table), ""])


def _table(grid: Grid, lines: list[str], continued: bool) -> list[str]:
    alignment = "".join("l" if column.stub else "r" for column in grid.columns)
    label = re.sub(r"[^\w.-]", "_", grid.label, flags=re.ASCII)
    caption = rf"\caption{{{escape(grid.caption)}}}\label{{tab:{label}}}\smallskip"
    if continued:  # under the same number
        caption = rf"\addtocounter{{table}}{{-1}}\caption{{{escape(grid.caption)} (continued)}}\smallskip"
    return [
        r"\begin{table}[htbp]",
        r"\centering",
        caption,
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        _heading(grid),
        *([] if lines[0].startswith(r"\midrule") else [r"\midrule"]),
        *lines,
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table}",
    ]


def _heading(grid: Grid) -> str:
    lower = " & ".join(typeset(column.titles[-1]) for column in grid.columns) + r" \\"
    if grid.levels == 1:
        return lower
    upper, rules, start = [], [], 1
    for title, span in grid.spans:
        upper.append(rf"\multicolumn{{{span}}}{{c}}{{{typeset(title)}}}" if title else "")
        if title:
            rules.append(rf"\cmidrule(lr){{{start}-{start + span - 1}}}")
        start += span
    return " & ".join(upper) + r" \\" + "\n" + " ".join(rules) + "\n" + lower


def _line(values: list[Value]) -> str:
    return " & ".join(_cell(value) for value in values) + r" \\"


def _cell(value: Value) -> str:
    return escape(value.separator).join(MARKS[part.mark].format(typeset(part.text)) for part in value.parts)
