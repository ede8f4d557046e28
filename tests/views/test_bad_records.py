"""Files in the places of records that are none: every view leaves them out, says so, and goes on."""

import json
import shutil

import pytest

from tests.views.page import Page

PLACES = {  # of Table 4's cells: what is wrong with the file, and the reason that is shown
    "sst2": "it holds cell rte.deberta-v3-base.full-table4.s6.",
    "cola": "Expecting",
    "rte": "score='9885",
}


@pytest.fixture
def bad(results) -> list[str]:
    """Paths, below the results folder, of a copied, a truncated and an impossible record."""
    paths = {task: next(results.glob(f"runs/*/{task}/*k2*-table4.s7.*.json")) for task in PLACES}
    shutil.copy(next(results.glob("runs/*/rte/*.full-table4.s6.*.json")), paths["sst2"])
    text = paths["cola"].read_text(encoding="utf-8")
    paths["cola"].write_text(text[: text.index('"score": ') + 9], encoding="utf-8")
    content = json.loads(paths["rte"].read_text(encoding="utf-8"))
    paths["rte"].write_text(json.dumps(content | {"score": 9885}), encoding="utf-8")
    return [path.relative_to(results).as_posix() for path in paths.values()]


def names_all(text: str, bad: list[str]) -> bool:
    words = " ".join(text.split())
    return all(path in words and reason in words for path, reason in zip(bad, PLACES.values(), strict=True))


def test_tables_leave_them_out(script, results, bad):
    done = script("tables", "table4", "--results", results)
    assert done.returncode == 0, done.stderr
    for view in ("ours", "compare", "statistics"):
        text = (results / "tables" / f"table4.{view}.md").read_text(encoding="utf-8")
        assert "3 records left out" in text.splitlines()[0] + text
        assert names_all(text, bad)
        assert "9885" not in text.replace("score='9885", "")
    [line] = [
        line
        for line in (results / "tables" / "table4.ours.md").read_text().splitlines()
        if "DCFT (d=2)" in line and "Acc" in line
    ]
    assert not any(character.isdigit() for character in line.partition("83,232")[2]), "a mean over two of three seeds"


def test_figures_leave_them_out(script, results, bad):
    done = script("figures", "--results", results)
    assert done.returncode == 0, done.stderr
    assert (results / "figures" / "kernel.table4.pdf").is_file()


def test_the_report_leaves_them_out(script, results, bad):
    done = script("report", "--results", results)
    assert done.returncode == 0, done.stderr
    page = Page((results / "report.html").read_text(encoding="utf-8"))
    assert names_all(page.text, bad)
    assert "3 left out: not a record, or that of another cell" in page.text


def test_the_dashboard_names_them(script, results, bad, monkeypatch):
    pytest.importorskip("wandb_workspaces")
    monkeypatch.setenv("WANDB_MODE", "offline")
    done = script("dashboard", "--results", results)
    assert done.returncode == 0, done.stderr
    content = json.loads((results / "dashboard" / "report.json").read_text(encoding="utf-8"))
    assert names_all(json.dumps(content).replace("\\", ""), bad)


def test_a_table_runs_on_beside_them(script, tmp_path):
    table = ["table=demo", "only=toy_cls", "methods=dcft", "model=tiny-bert", "seeds=1", "train.max_steps=2"]
    table += ["eval.every=2", "data.max_eval=40"]
    assert script("run", *table).returncode == 0
    first, second = sorted((tmp_path / "outputs" / "demo" / "runs").glob("*/*/*.json"))
    shutil.copy(first, second)
    done = script("run", *table)
    assert done.returncode == 1
    assert "1 done, 1 invalid" in done.stdout
    assert f"it holds cell {first.stem}" in done.stdout
    assert second.read_bytes() == first.read_bytes(), "a file of the user is never overwritten"
