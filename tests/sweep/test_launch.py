"""Which cells are launched, again and with which others, when launchers and workers misbehave. Nothing is trained."""

import json

import pytest
from hydra.core.utils import JobReturn, JobStatus

from dcft.config.cell import cell_name
from dcft.results import atomic
from dcft.results.sweeps import Cell, Store
from dcft.sweep.launch import run_cells
from tests.fixtures.make import RESULTS

FOLDER = "runs/deberta-v3-base/rte"


def record(seed: int) -> dict:
    """The content of a finished record, of another cell for each seed."""
    content = json.loads(next(RESULTS.glob(f"{FOLDER}/*.full-table4.s6.*.json")).read_text())
    content["seed"] = content["config"]["seed"] = seed
    identities = (content[key]["identity"] for key in ("data_source", "model_source"))
    return content | {"cell": cell_name(content["config"], *identities)}


class World:
    """Cells, and a launcher that treats each as the test says: done, fail, die (kills the launch), or skip."""

    def __init__(self, root, **behaviour):
        self.store = Store(root / "results", root / "outputs")
        self.contents = {name: record(seed) for seed, name in enumerate(behaviour)}
        self.names = {content["cell"]: name for name, content in self.contents.items()}
        self.cells = [
            Cell(0, "rte", 6, [name], cell, f"runs/deberta-v3-base/rte/{cell}.json")
            for cell, name in self.names.items()
        ]
        self.behaviour = behaviour
        self.launches = []

    def begin(self, name):
        folder = self.store.outputs / "runs" / self.contents[name]["cell"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "state.json").write_text(json.dumps({"attempts": self.attempts(name) + 1}))

    def attempts(self, name):
        state = self.store.outputs / "runs" / self.contents[name]["cell"] / "state.json"
        return json.loads(state.read_text())["attempts"] if state.is_file() else 0

    def finish(self, name, status="done"):
        self.begin(name)
        content = self.contents[name] | {"attempts": self.attempts(name)}
        if status == "failed":
            content = (
                content | dict.fromkeys(("score", "metrics", "metrics_halves")) | {"status": status, "error": "bad"}
            )
        path = self.store.results / f"runs/deberta-v3-base/rte/{content['cell']}.json"
        atomic.write(path, json.dumps(content))

    def launch(self, jobs):
        names = [name for (name,) in jobs]
        self.launches.append(names)
        returns = []
        for name in names:
            act = self.behaviour[name].pop(0)
            if act == "done":
                self.finish(name)
            elif act == "fail":
                self.finish(name, "failed")
            elif act == "die":
                self.begin(name)
                raise OSError("a worker was killed")
            status = JobStatus.FAILED if act in ("fail", "refuse") else JobStatus.COMPLETED
            returns.append(JobReturn(overrides=[name], status=status, _return_value=RuntimeError(f"{name} {act}")))
        return returns

    def run(self, **settings):
        reasons = run_cells(self.cells, self.launch, self.store, **settings)
        return {self.names[cell]: reason for cell, reason in reasons.items()}

    def statuses(self):
        return [self.store.status(cell) for cell in self.cells]


def test_what_is_done_is_not_launched_and_failures_stop_nothing(tmp_path):
    world = World(tmp_path, a=["done"], b=["fail"], c=["done"])
    world.finish("a")
    assert world.run() == {"b": "b fail"}
    assert world.launches == [["b", "c"]]
    assert world.statuses() == ["done", "failed", "done"]


def test_what_failed_before_comes_last(tmp_path):
    world = World(tmp_path, a=["done"], b=["done"])
    world.finish("a", "failed")
    world.run()
    assert world.launches == [["b", "a"]]
    assert world.statuses() == ["done", "done"]


def test_a_dead_worker_takes_no_other_cell_with_it(tmp_path):
    """b dies twice: those after it are launched again without it, then it is tried once more, alone."""
    world = World(tmp_path, a=["done"], b=["die", "die"], c=["done"], d=["done"])
    reasons = world.run()
    assert world.launches == [["a", "b", "c", "d"], ["c", "d"], ["b"]]
    assert world.statuses() == ["done", "interrupted", "done", "done"]
    assert list(reasons) == ["b"]
    assert "a worker was killed" in reasons["b"]


def test_a_cell_that_dies_once_gets_its_result(tmp_path):
    world = World(tmp_path, a=["die", "done"], b=["die", "done"])
    assert world.run() == {}
    assert world.launches == [["a", "b"], ["b"], ["a"], ["b"]]
    assert world.statuses() == ["done", "done"]


def test_a_launcher_that_starts_nothing_is_not_asked_for_ever(tmp_path):
    world = World(tmp_path, a=[], b=[])

    def broken(jobs):
        world.launches.append(jobs)
        raise RuntimeError("no such\npartition")

    reasons = run_cells(world.cells, broken, world.store)
    assert len(world.launches) == 1
    assert reasons == dict.fromkeys(world.names, "the launcher stopped: RuntimeError: no such partition")


def test_a_cell_that_was_refused_is_not_launched_again(tmp_path):
    world = World(tmp_path, a=["refuse"], b=["done"])
    assert world.run() == {"a": "a refuse"}
    assert world.launches == [["a", "b"]]


def test_on_a_queue_nothing_is_launched_twice(tmp_path):
    world = World(tmp_path, a=["die"], b=["done"])
    world.run(retry=False)
    assert world.launches == [["a", "b"]]
    assert world.statuses() == ["interrupted", "new"]


def test_a_cell_that_another_process_runs_is_waited_for(tmp_path, monkeypatch, capsys):
    world = World(tmp_path, a=["done"], b=[])
    looks = iter(["running"] * 6)
    real = Store.status
    monkeypatch.setattr("dcft.sweep.launch.POLL", 0)
    monkeypatch.setattr(
        Store,
        "status",
        lambda self, cell: next(looks, None) or real(self, cell) if cell.overrides == ["b"] else real(self, cell),
    )
    world.finish("b")
    world.run()
    assert world.launches == [["a"]]
    assert capsys.readouterr().out.count("waiting for 1 cell that other processes run") == 1
    assert next(looks, None) is None, "it did not wait"


def test_what_failed_before_is_tried_again_past_a_death(tmp_path):
    world = World(tmp_path, a=["die", "done"], b=["done"], c=["fail"])
    world.finish("b", "failed")
    world.finish("c", "failed")
    assert world.run() == {"c": "c fail"}
    assert world.launches == [["a", "b", "c"], ["b", "c"], ["a"]]
    assert world.statuses() == ["done", "done", "failed"]


def test_a_cell_that_failed_and_is_killed_now_is_run_alone_and_says_why(tmp_path):
    world = World(tmp_path, a=["die", "die"])
    world.finish("a", "failed")
    reasons = world.run()
    assert world.launches == [["a"], ["a"]]
    assert world.statuses() == ["interrupted"]
    assert "a worker was killed" in reasons["a"]


@pytest.mark.parametrize("others", [{}, {"a": ["done"]}], ids=["alone", "beside others"])
def test_a_cell_that_another_process_gave_up_is_run_here(tmp_path, monkeypatch, others):
    world = World(tmp_path, **others, b=["done"])
    real, looks = Store.status, iter(["running"] * 4)
    monkeypatch.setattr("dcft.sweep.launch.POLL", 0)
    monkeypatch.setattr(
        Store, "status", lambda self, c: (next(looks, None) if c.overrides == ["b"] else None) or real(self, c)
    )
    assert world.run() == {}
    assert world.launches == [*([name] for name in others), ["b"]]


def test_what_failed_again_is_not_tried_a_third_time(tmp_path):
    """The launch broke after it, so its own reason is lost; its record is not."""
    world = World(tmp_path, a=["fail"], b=["die", "done"], c=["done"])
    for name in "abc":
        world.finish(name, "failed")
    assert world.run() == {}
    assert world.launches == [["a", "b", "c"], ["c"], ["b"]]
    assert world.statuses() == ["failed", "done", "done"]
