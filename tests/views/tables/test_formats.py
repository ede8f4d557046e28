"""Formats: what is special in each."""

import csv
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from rich.console import Console

from dcft.views import tables
from dcft.views.tables.grid import Column, Grid, Group, Line, Part, Row, Value, decimal, plain
from dcft.views.tables.latex import escape, typeset
from tests.conftest import ROOT
from tests.views.tables.conftest import build
from tests.views.tables.test_expected import EXPECTED

ODD = r"50% & a_b {#1} $x^2$ ~\ | <b> Δ † ± ≤ − é 中"


def odd() -> Grid:
    """A table with all that formats have to be careful with."""
    columns = [
        Column("method", ["Method"], stub=True),
        Column("rte", ["Up_per^2", "#1"]),
        Column("b", ["Up_per^2", "#2"]),
    ]
    line = Line([plain(ODD), Value([Part("1.0", 1.0, mark="best"), Part("2|0", 2.0, mark="second")]), Value()], "ours")
    return Grid("odd", "ours", f"Caption {ODD}", columns, [Group("", [Row(ODD, [line])])], [f"Note {ODD}"])


def test_special_characters_of_latex_are_text():
    assert escape(r"50% & a_b {#1} $x^2$ ~\ ") == (
        r"50\% \& a\_b \{\#1\} \$x\textasciicircum{}2\$ \textasciitilde{}\textbackslash{} "
    )
    assert escape("Δ ± ≤ − 中") == r"$\Delta$ $\pm$ $\le$ $-$ [U+4E2D]"


def test_the_paper_s_scripts_are_set_as_such():
    assert typeset("DCFT^Δ(ours)") == r"DCFT\textsuperscript{$\Delta$}(ours)"
    assert typeset("DeB^V3_base") == r"DeB\textsuperscript{V3}\textsubscript{base}"
    assert typeset("DCFT_(Q,K)") == r"DCFT\textsubscript{(Q,K)}"
    assert typeset("init_warmup") == r"init\_warmup"
    assert "DCFT<sup>†</sup>(ours)" in tables.html(tables.published_grid("table1"))


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_every_table_compiles_and_fits_the_page(tmp_path):
    (tmp_path / "odd.tex").write_text(tables.latex(odd()), encoding="utf-8")
    long = build("demo", "statistics")
    long.groups *= 9  # one that takes more than a page
    (tmp_path / "long.tex").write_text(tables.latex(long), encoding="utf-8")
    paths = [*sorted(EXPECTED.glob("tables/*.tex")), *sorted((ROOT / "results" / "tables").glob("*.tex"))]
    paths += [tmp_path / "odd.tex", tmp_path / "long.tex"]
    body = "\n".join(f"\\input{{{path}}}\\clearpage" for path in paths)
    preamble = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
    (tmp_path / "all.tex").write_text(f"{preamble}\n{body}\n\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "long.tex").read_text().count("(continued)") == 2
    numbers = re.findall(r"\\contentsline \{table\}\{\\numberline \{(\d+)\}", (tmp_path / "all.aux").read_text())
    assert len(set(numbers)) == len(paths), "one number a table"
    too_wide = [float(width) for width in re.findall(r"Overfull \\hbox \(([\d.]+)pt", done.stdout)]
    assert max(too_wide, default=0) < 5
    assert "Float too large" not in done.stdout


def test_markdown_keeps_its_columns():
    text = tables.markdown(odd())
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    assert len({len(line) for line in table}) == 1, "aligned"
    assert r"**1.0**/<u>2\|0</u>" in text
    assert "Up_per^2: #1" in table[0]


class Tags(HTMLParser):
    """Whether tags are balanced, and which there are."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    "grid", [odd(), tables.published_grid("table1"), build("table4", "compare")], ids=lambda g: g.name
)
def test_html_is_a_plain_accessible_table(grid):
    tags = Tags(tables.html(grid, link=lambda path: f"../{path}"))
    assert tags.open == []
    names = [tag for tag, _ in tags.seen]
    assert names.count("caption") == 1
    assert not {"script", "style", "b"} & set(names)
    assert all("scope" in attributes for tag, attributes in tags.seen if tag == "th")


@pytest.mark.parametrize("name", ["table1", "table4", "demo"])
def test_every_line_of_an_html_table_is_complete(name):
    grid = build(name, "compare")
    text = tables.html(grid)
    body = [line for line in text.split("</thead>")[1].splitlines() if line.startswith("<tr")]
    covered: list[int] = []  # lines that a name above still spans
    for line in body:
        covered = [left - 1 for left in covered if left > 1]
        cells = re.findall(r"<t[hd]([^>]*)>", line)
        assert len(cells) + len(covered) == len(grid.columns)
        covered += [int(span) for cell in cells for span in re.findall(r'rowspan="(\d+)"', cell)]


def test_html_links_each_number_to_its_records():
    text = tables.html(build("table4", "ours"), link=lambda path: f"../{path}?a&b")
    links = re.findall(r'href="([^"]+)"', text)
    assert links
    assert all(link.startswith("../runs/") and link.endswith("?a&amp;b") for link in links)
    assert "<a " not in tables.html(build("table4", "ours"))


def test_csv_has_a_line_for_every_figure_and_for_every_blank():
    grid = build("table1", "compare")
    lines = list(csv.DictReader(io.StringIO(tables.long_csv(grid))))
    mine = [line for line in lines if line["source"] == "ours" and line["task"] != "params"]
    assert len(mine) == 6 * (1 + 2 + 1 + 1)  # MNLI is a pair
    pair = [line for line in mine if line["task"] == "mnli" and line["row"] == "Fine-Tune"]
    assert [line["metric"] for line in pair] == ["accuracy", "accuracy_mismatched"]
    assert all(line["value"].startswith(line["text"][:4]) for line in pair)
    blank = [line for line in mine if (line["row"], line["task"]) == ("LoRA (r=1)", "rte")]
    assert [(line["value"], line["text"]) for line in blank] == [("", "")]
    assert {line["caption"] for line in lines} == {grid.caption}
    three = {x["source"]: float(x["value"]) for x in lines if (x["row"], x["task"]) == ("Fine-Tune", "rte")}
    assert three["difference"] == pytest.approx(three["ours"] - three["published"])


def test_the_terminal_cuts_no_number():
    grid = build("table4", "compare")
    console = Console(width=60, record=True, file=io.StringIO())
    tables.show(grid, console)
    text = console.export_text()
    for group in grid.groups:
        for _, line in group.lines:
            assert all(value.text in text for value in line.values)
    assert "…" not in text
    assert console.width == 60


@pytest.mark.parametrize(
    ("number", "sign", "text"),
    [(90.0, "", "90.00"), (10.0, "+", "+10.00"), (-3.456, "", "−3.46"), (-0.001, "+", "0.00"), (0.004, "", "0.00")],
)
def test_numbers_have_two_decimals(number, sign, text):
    assert decimal(number, sign) == text


def test_a_table_that_has_not_changed_is_left_alone(tmp_path):
    for path in tables.write(odd(), tmp_path):
        path.chmod(0o600)  # a file that is written anew is for all to read
    changed = odd()
    changed.groups[0].rows[0].lines[0].values[1] = plain("new")
    modes = [path.stat().st_mode & 0o777 for path in tables.write(odd(), tmp_path)]
    assert modes == [0o600] * len(modes)
    for path in tables.write(changed, tmp_path):
        assert path.stat().st_mode & 0o777 == 0o644
        assert "new" in path.read_text()
