"""A grid in LaTeX: a fragment to \\input, for booktabs, graphicx and (long tables) longtable, and plain pdflatex."""

from dcft.views.tables.grid import Grid, Value
from dcft.views.tables.text import scripts

MARKS = {"": "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
ONE_PAGE = 60  # lines that fit on one; a table with more may break
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
    return "".join(_character(character) for character in text)


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
    """The table with its caption and, below it, its notes."""
    groups = [[_line(line.values) for _, line in group.lines] for group in grid.groups]
    body = "\n\\midrule\n".join("\n".join(lines) for lines in groups)
    alignment = "".join("l" if column.stub else "r" for column in grid.columns)
    heading = _heading(grid)
    notes = r" \\ ".join(escape(note) for note in grid.notes)
    caption, label = escape(grid.caption), f"tab:{grid.label}"
    used = r"% \usepackage{booktabs,graphicx,longtable}"
    if sum(map(len, groups)) > ONE_PAGE:
        return "\n".join(
            [
                used,
                r"\begingroup\tiny\setlength{\tabcolsep}{3pt}",
                rf"\begin{{longtable}}{{{alignment}}}",
                rf"\caption{{{caption}}}\label{{{label}}} \\",
                r"\toprule",
                heading,
                r"\midrule",
                r"\endhead",
                body,
                r"\bottomrule",
                r"\end{longtable}",
                rf"\par\noindent {notes}",
                r"\par\endgroup",
                "",
            ]
        )
    return "\n".join(
        [
            used,
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{caption}}}\label{{{label}}}\smallskip",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            heading,
            r"\midrule",
            body,
            r"\bottomrule",
            r"\end{tabular}}",
            rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize {notes}}}",
            r"\end{table}",
            "",
        ]
    )


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
