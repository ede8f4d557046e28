"""What a table will cost, where no run is recorded: from the speed of this machine's matrix products."""

import pytest

from dcft.results.sweeps import Row
from dcft.sweep import estimate, plan, request
from dcft.sweep.estimate import Estimator


@pytest.fixture
def demo(tmp_path):
    return plan.load_plan(request.read(["table=demo", f"results.dir={tmp_path}"]))


def test_known_work_is_divided_by_the_speed_of_this_machine(demo, tmp_path, monkeypatch):
    monkeypatch.setattr(estimate, "matrix_rate", lambda: 50.0)
    cell, row = demo.cells[0], demo.rows[0]
    assert isinstance(row, Row)
    assert Estimator(tmp_path, work=1000.0).seconds(cell, row) == 20.0
    assert Estimator(tmp_path).seconds(cell, row) is None


def test_the_speed_of_this_machine_is_plausible():
    assert 0.1 < estimate.matrix_rate() < 1e5


def test_the_demo_says_at_the_start_how_long_it_takes(script, tmp_path):
    """Another backbone than the table's own is another amount of work, and unknown."""
    shown = script("run", "table=demo", "dry=true", f"results.dir={tmp_path}").stdout
    assert "6 cells, 0 done, 6 to run; estimate: about " in shown
    other = script("run", "table=demo", "model=tiny-bert", "dry=true", f"results.dir={tmp_path}").stdout
    assert "estimate: unknown" in other
