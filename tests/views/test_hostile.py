"""Texts of records that try to be more than text: in every format they stay text."""

import csv
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from dcft.errors import UserError, printable
from dcft.results import sweeps
from dcft.results.records import BadRecord
from dcft.views import tables
from dcft.views.tables.grid import Column, Grid, Group, Line, Part, Row, Value
from tests.fixtures.change import change

PIECES = [
    "<script>alert(1)</script>",
    '" onmouseover="x',
    "' autofocus='",
    "</td></table>",
    "<!--",
    "](javascript:alert(1))",
    "![x](http://x/)",
    "[x]: http://x/",
    "|",
    "\\",
    "`",
    "**",
    "\n",
    "\r",
    "\t",
    "\x1b[2J\x1b]0;x\x07",
    "\x9b31m",
    "\x00",
    "\u202e",
    "\u2066",
    "\u2028",
    "\ud800",
    r"\input{/etc/passwd}",
    r"\write18{x}",
    "^^5cinput",
    "%",
    "}{",
    "$",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "{{ 7*7 }}",
    "x",
    "1.5",
]
hostile = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join)


def grid(text: str) -> Grid:
    """A table with a text in every place that a record, a sweep or a file's name can fill."""
    columns = [Column("method", [text], stub=True), Column(text, ["Up", text]), Column("b", ["Up", "#2"])]
    parts = [Part(text, -1.0, name=text, mark="best"), Part(text)]
    line = Line([Value([Part(text)]), Value(parts), Value()], "ours", task=text)
    return Grid(text, "ours", text, columns, [Group(text, [Row(text, [line], text, text)])], [text], text)


class Elements(HTMLParser):
    """Every element with the names of its attributes, and all text."""

    def __init__(self, page: str):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, sorted(name for name, _ in attributes)))

    def handle_data(self, text):
        self.text += text

    def handle_comment(self, text):
        self.found.append(("comment", []))


def harmless(text: str) -> bool:
    return all(c == "\n" or c.isprintable() for c in text)


@given(hostile)
def test_html_has_no_element_of_theirs(text):
    page = Elements(tables.html(grid(text)))
    assert page.found == Elements(tables.html(grid("x"))).found
    assert printable(text).strip() in page.text
    assert harmless(page.text)


@given(hostile)
def test_csv_has_no_formula(text):
    for line in csv.reader(io.StringIO(tables.long_csv(grid(text)))):
        for value in line:
            assert not re.match(r"\s*[=+@-]", value) or float(value) < 2, value
            assert harmless(value)


def test_csv_keeps_numbers():
    rows = list(csv.DictReader(io.StringIO(tables.long_csv(grid("-1.5")))))
    assert (rows[0]["value"], rows[0]["text"]) == ("-1", "-1.5")


@given(hostile)
def test_markdown_has_no_cell_link_or_html_of_theirs(text):
    page = tables.markdown(grid(text))
    plain = tables.markdown(grid("x"))
    assert page.count("\n") == plain.count("\n")
    for line, expected in zip(page.splitlines(), plain.splitlines(), strict=True):
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == len(re.findall(r"\|", expected))
    assert not re.search(r"<(?!/?u>)|\](\(|:)|(?<!\\)(\\\\)*`", page)
    assert harmless(page)


@given(hostile)
def test_a_terminal_gets_no_control_character(text):
    shown = io.StringIO()
    tables.show(grid(text), Console(file=shown, width=500))
    assert harmless(shown.getvalue())
    for message in (UserError(text), BadRecord(text, text)):
        assert "\n" not in str(message)
        assert harmless(str(message))


@given(hostile)
def test_latex_has_no_command_of_theirs(text):
    def commands(fragment):
        return set(re.findall(r"\\[A-Za-z]+", fragment))

    fragment = tables.latex(grid(text))
    allowed = commands(tables.latex(grid("x"))) | {r"\textbackslash", r"\textasciicircum", r"\textasciitilde"}
    assert commands(fragment) <= allowed
    assert harmless(fragment)
    assert len(re.findall(r"(?<!\\)[{]", fragment)) == len(re.findall(r"(?<!\\)[}]", fragment))


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
def test_latex_of_all_of_them_compiles(tmp_path):
    (tmp_path / "grid.tex").write_text(tables.latex(grid(" ".join(PIECES))), encoding="utf-8")
    (tmp_path / "page.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}\input{grid}\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=60)
    assert done.returncode == 0, done.stdout[-1500:]


@pytest.mark.slow
def test_every_view_of_a_hostile_record_is_harmless(results, script):
    """The same through the commands: a failed record whose free texts are hostile, in all formats and the report."""
    text = "".join(piece for piece in PIECES if piece != "\ud800")  # no UTF-8 file holds it

    def spoil(content):
        content |= {"versions": {text: text}, "hardware": {text: text}, "recipe_source": {text: text}}
        content["config"]["task"]["title"] = text
        content["data_source"]["identity"]["path"] = text
        if content["error"] is not None:
            content["error"] = text

    change(results, "*/*/*.json", spoil)
    for name in ("report", "tables"):
        done = script(name, "--results", results)
        assert done.returncode == 0, done.stderr
        assert harmless(done.stdout + done.stderr)
    after = Elements((results / "report.html").read_text(encoding="utf-8"))
    assert not {tag for tag, _ in after.found} & {"script", "comment", "iframe", "link"}
    assert not any(name.startswith(("on", "auto")) for _, attributes in after.found for name in attributes)
    assert harmless(after.text)
    for path in (results / "tables").iterdir():
        assert harmless(path.read_text(encoding="utf-8")), path


def test_a_sweep_named_otherwise_than_its_file_is_refused(results):
    path = sweeps.path_of("demo", results)
    path.write_text(path.read_text(encoding="utf-8").replace('"demo"', '"../../demo"', 1), encoding="utf-8")
    with pytest.raises(UserError, match="is not a sweep"):
        sweeps.read(path)
