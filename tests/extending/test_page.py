"""docs/extending.md, followed: every file that it prints, every command, from a folder outside of the repository."""

import json

import pytest

from dcft.results import records, sweeps
from tests.conftest import SHORT
from tests.extending.conftest import FILES, PAGE, commands

FIGURE, PROTOCOL = (commands(heading)[0] for heading in ("A figure", "A protocol"))


def record(follower, pattern):
    (path,) = (follower.home / "results").glob(f"runs/*/*/{pattern}.json")
    return records.read(path)


@pytest.fixture(scope="session")
def table(follower):
    """The page's table, run: one task of it, on a small backbone."""
    dry, run = commands("A table")
    follower.run(dry, "results.dir=planned")
    (plan,) = sweeps.read_all(follower.home / "planned")
    assert [(cell.task, cell.problem) for cell in plan.cells] == [("wnli", None), ("rte", None)] * 3
    assert not (follower.home / "planned" / "runs").exists()
    follower.run(run, "only=wnli", "results.dir=table", *SHORT)
    (sweep,) = sweeps.read_all(follower.home / "table")
    return sweep


def test_every_file_of_the_page_is_named():
    assert len(FILES) == PAGE.count("```yaml\n") + PAGE.count("```python\n")


@pytest.mark.parametrize(("command", "method"), list(zip(commands("A task"), ("dcft", "lora"), strict=True)))
def test_a_task(follower, short, command, method):
    short(command)
    done = record(follower, f"wnli.tiny-bert.{method}-*")
    assert done.status == "done"
    sources = done.recipe_source
    assert (
        sources["train.warmup"]
        == {
            "dcft": "chosen by hand",
            "lora": "inferred: TsinghuaC3I/SoRA scripts/run_glue_lora.sh at c275ac2 for other tasks, deberta-v3-base",
        }[method]
    )
    other = "deberta-v3-base" if method == "dcft" else "deberta-v3-base, dcft, adalora"
    script = "Godz-z/DCFT NLU/scripts/run_debertav3_rte.sh at 38f71d2"
    assert sources["train.lr"] == f"inferred: {script} for other tasks, {other}"
    assert "not stated" not in sources.values()
    assert not any("Table 9" in source for source in sources.values())


def test_a_method_that_peft_has(follower, short):
    (command,) = commands("A method that PEFT has")
    short(command)
    done = record(follower, "toy_pair.tiny-bert.hra-r4.*")
    assert (done.status, done.config["rank"]) == ("done", 4)


def test_a_tuner(follower, short):
    (command,) = commands("A tuner")
    short(command)
    done = record(follower, "toy_pair.tiny-bert.lora_xs-r8.*")
    assert done.status == "done"
    assert done.params.adapter == 2 * 6 * 8 * 8, "R alone trains, in each matrix of two layers"


def test_a_table(follower, table):
    cells = [cell for cell in table.cells if cell.task == "wnli"]
    assert len(cells) == 3
    paths = [follower.home / "table" / cell.record for cell in cells]
    before = {path: path.read_bytes() for path in paths}
    assert {json.loads(text)["status"] for text in before.values()} == {"done"}
    paths[0].unlink()
    follower.run(cells[0].command)  # as copied: it finds the files again
    assert json.loads(paths[0].read_text())["score"] == json.loads(before[paths[0]])["score"]


def test_a_figure(follower, table):
    follower.run(FIGURE.replace(" results", " table"))
    for kind in ("pdf", "png"):
        assert (follower.home / "table" / "figures" / f"memory.{table.name}.{kind}").is_file()


def test_a_protocol(follower, table):
    follower.run(PROTOCOL.replace(" results", " table"))
    text = (follower.home / "table" / "tables" / f"{table.name}.ours-lowest_loss.md").read_text()
    assert "evaluation with the lowest loss on the dev set" in text
    assert "the score takes no part in the choice" in text


@pytest.mark.slow
def test_a_table_on_a_launcher_that_composes_by_itself(follower):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs pip install -e .[joblib]")
    _, run = commands("A table")
    run = run.replace("--config-dir $MINE/conf", "'hydra.searchpath=[$MINE/conf]'")
    follower.run(run, "only=wnli", "results.dir=joblib", "hydra/launcher=joblib", *SHORT)
    assert len(list((follower.home / "joblib").glob("runs/*/wnli/*.json"))) == 3
