"""`python scripts/figures.py`, and the files that it writes."""

from pathlib import Path

import pytest

from tests.fixtures.make import RESULTS
from tests.views.figures.conftest import draw


@pytest.fixture(scope="module")
def twice(cells):
    """The figures of one sweep, drawn twice. Rendering moves texts, so no other test looks at them."""
    return [draw(RESULTS, "table1", cells) for _ in range(2)]


@pytest.mark.parametrize("kind", ["pdf", "png", "svg"])
@pytest.mark.parametrize("name", ["figure2.table1", "pareto.table1"])
def test_the_same_records_give_the_same_bytes(twice, name, kind):
    first, second = twice
    assert first[name].render(kind) == second[name].render(kind)


def test_command_on_a_fresh_clone_draws_the_papers_numbers_alone(script, tmp_path):
    result = script("figures")
    assert result.returncode == 0, result.stderr
    names = [f"{kind}.paper.{suffix}" for kind in ("kernel", "stride", "pareto") for suffix in ("pdf", "png")]
    assert result.stdout.splitlines() == [f"results/figures/{name}" for name in names]
    for name in names:
        content = (tmp_path / "results" / "figures" / name).read_bytes()
        assert content.startswith(b"%PDF" if name.endswith("pdf") else b"\x89PNG")


def test_command_draws_one_sweep_and_names_what_it_does_not_know(script, results):
    result = script("figures", "demo", "--results", results)
    assert result.returncode == 0, result.stderr
    assert {Path(line).name.split(".")[1] for line in result.stdout.splitlines()} == {"demo"}
    wrong = script("figures", "table9", "--results", results)
    assert wrong.returncode == 1
    [line] = wrong.stderr.splitlines()
    assert all(name in line for name in ("table9", "demo"))
