"""The cost view: from records to figures with units, ranges over tasks, blanks."""

import json

import pytest

from dcft.results import sweeps
from dcft.views import figures, tables
from dcft.views.tables.cost import amount
from tests.views.figures.conftest import cells, series  # noqa: F401


def add(results, **costs) -> None:
    """Add costs to the demo's records: {row's adapter: bytes}, FLOPs by task, reserved memory."""
    for path in (results / "runs").rglob("*-demo.s*.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {name: of(record) for name, of in costs.items()}))


@pytest.fixture
def known(results):
    """Records that keep their costs."""
    step = {"toy_pair": 2_000_000_000, "toy_sim": 3_500_000_000}
    add(
        results,
        disk_bytes=lambda r: 4 * r["params"]["trainable"],
        flops=lambda r: {"step": step[r["task"]], "prediction": 407_063_040},
    )
    return results


def texts(results, name="demo") -> dict[str, list[str]]:
    """The line of each row, by its title."""
    grid = tables.build(sweeps.read(sweeps.path_of(name, results)), results, "cost")
    return {row.title: [value.text for value in line.values[2:]] for group in grid.groups for row, line in group.lines}


def test_a_line_has_a_row_s_costs(known):
    params, trainable, size, step, prediction, memory, seconds = texts(known)["DCFT (d=8)"]
    assert (params, trainable) == ("7,488", "599,618")
    assert size == "2.4 MB"  # 4 bytes x 599,618
    assert (step, prediction) == ("2 GFLOP to 3.5 GFLOP", "407 MFLOP")
    assert memory == "1.23 GB"
    low, _, high = seconds.partition(" to ")
    assert low.endswith(" ms")
    assert high.endswith(" ms")


def test_seconds_of_a_step_are_the_mean_over_seeds(known):
    means = []
    planned = sweeps.read(sweeps.path_of("demo", known)).cells
    for task in ("toy_pair", "toy_sim"):
        found = [json.loads((known / c.record).read_text()) for c in planned if (c.row, c.task) == (1, task)]
        assert len(found) == 3
        means.append(sum(r["time"]["train_s"] / r["history"][-1]["step"] for r in found) / 3)
    grid = tables.build(sweeps.read(sweeps.path_of("demo", known)), known, "cost")
    [value] = [line.values[-1] for group in grid.groups for row, line in group.lines if row.title == "DCFT (d=8)"]
    assert [part.number for part in value.parts] == pytest.approx(sorted(means))
    assert len(value.records) == 6


def test_old_records_leave_blanks_and_have_no_view_of_their_own(results):
    sweep = sweeps.read(sweeps.path_of("table4", results))
    assert "cost" not in tables.views(sweep, results)
    params, _, size, step, *_ = texts(results, "table4")["DCFT (d=8)"]
    assert (params, size, step) == ("25,344", "", "")


def test_a_missing_record_blanks_its_row(known):
    sweep = sweeps.read(sweeps.path_of("demo", known))
    assert "cost" in tables.views(sweep, known)
    (known / next(cell.record for cell in sweep.cells if cell.row == 2)).unlink()
    assert set(texts(known)["DCFT (d=2)"]) == {""}
    assert texts(known)["LoRA (r=1)"][0] == "41,472"


def test_reserved_memory_has_a_column_where_a_gpu_was_used(known):
    assert len(texts(known)["LoRA (r=1)"]) == 7
    add(known, peak_reserved_mb=lambda r: 2048.0)
    assert texts(known)["LoRA (r=1)"][6] == "2.05 GB"


@pytest.mark.parametrize(
    ("number", "symbol", "text"),
    [(7488, "", "7,488"), (999.6, "B", "1 kB"), (102_400, "B", "102 kB"), (0.0123, "s", "12.3 ms"), (0, "s", "0 s")],
)
def test_amounts_have_three_digits(number, symbol, text):
    assert amount(number, symbol) == text


@pytest.mark.parametrize("cost", figures.AXES)
def test_pareto_draws_scores_against_any_cost(known, cells, cost):  # noqa: F811
    sweep = sweeps.read(sweeps.path_of("demo", known))
    pictures = {p.name: p for p in figures.of_sweep(sweep, known, cells, cost)}
    picture = pictures["pareto.demo" if cost == "params" else f"pareto-{cost}.demo"]
    xs = sorted(x for x, _ in series(picture.figure.axes[0])["ours: a row of the table"])
    expected = {
        "params": [7488, 20_880, 41_472],
        "bytes": [4 * (592_130 + n) for n in (7488, 20_880, 41_472)],
        "flops": [2.75e9] * 3,
        "memory": [1234.5e6] * 3,
    }
    assert xs == pytest.approx(expected.get(cost, xs))
    assert len(xs) == 3
    assert "Means over" in picture.note
