"""The W&B dashboard: what it plots is what runs log, without a login it is JSON, and nothing makes it wait."""

import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading

import pytest

from dcft.sweep import plan, request
from dcft.training import run as training
from tests.conftest import ROOT, SHORT
from tests.tracking.test_mirror import history_of, inspect, runs_of

pytest.importorskip("wandb_workspaces")
from wandb_workspaces.reports.v2 import PanelGrid, Report
from wandb_workspaces.reports.v2 import internal as report_models
from wandb_workspaces.workspaces import Workspace
from wandb_workspaces.workspaces import internal as workspace_models

from dcft.tracking import dashboard, names

KEY = {"WANDB_API_KEY": "0" * 40}


@pytest.fixture(autouse=True)
def no_login(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planned") / "results"
    for table in ("demo", "table5"):
        plan.load_plan(request.read([f"table={table}", "model=tiny-bert", f"results.dir={folder}"]))
    return folder


@pytest.fixture
def results(planned, tmp_path):
    """A results folder with two sweeps."""
    return shutil.copytree(planned, tmp_path / "results")


def script(results, *arguments, **environment):
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "dashboard.py"), "--results", str(results), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def load(results):
    """Both files through the library's own models."""
    folder = results / "dashboard"
    view = workspace_models.View.model_validate_json((folder / "workspace.json").read_text())
    page = report_models.ReportViewspec.model_validate_json((folder / "report.json").read_text())
    return Workspace._from_model(view), Report._from_model(page)


def grids(page):
    return [block for block in page.blocks if isinstance(block, PanelGrid)]


def kinds(panels):
    return [type(panel).__name__ for panel in panels]


def name_of(metric):
    return getattr(metric, "name", metric)


def plotted(panels):
    """The keys that panels plot: of the history, of the summary, of the configuration."""
    history, summary, config = set(), set(), set()
    for panel in panels:
        if hasattr(panel, "groupby") and panel.groupby:
            config.add(name_of(panel.groupby))
        if type(panel).__name__ == "LinePlot":
            assert name_of(panel.x) == "Step"
            history |= {name_of(metric) for metric in panel.y}
        elif type(panel).__name__ == "BarPlot":
            summary |= {name_of(metric) for metric in panel.metrics}
        else:
            summary |= {name_of(panel.x), name_of(panel.y)}
    return history, summary, config


def test_without_a_login_both_are_json_with_their_panels(results):
    shown = script(results, "--project", "glue", "--entity", "team")
    assert shown.returncode == 0, shown.stderr
    paths = [f"{results}/dashboard/{name}.json" for name in ("workspace", "report")]
    assert shown.stdout.splitlines() == [
        *paths,
        "no W&B login; to push both: wandb login, then make dashboard again",
    ]
    view, page = load(results)
    for thing in (view, page):
        assert (thing.entity, thing.project) == ("team", "glue")
    assert {section.name: kinds(section.panels) for section in view.sections} == {
        "Scores": ["BarPlot", "BarPlot"],
        "Score against size": ["ScatterPlot"],
        "Curves": ["LinePlot", "LinePlot", "LinePlot"],
    }
    assert [grid.runsets[0].name for grid in grids(page)] == [
        "Scores",
        "Score against size",
        "Curves",
        "demo-tiny-bert",
        "table5-tiny-bert",
        "Failed and collapsed",
    ]
    curves = {name_of(panel.y[0]) for panel in view.sections[2].panels}
    assert curves == {"dev/score", "dev/loss", "train/loss"}
    (pareto,) = view.sections[1].panels
    assert (name_of(pareto.x), name_of(pareto.y)) == ("params.adapter", "score")
    for text in ('State") in ', 'SummaryMetric("failed") == 1', 'SummaryMetric("collapsed") == 1'):
        assert text in grids(page)[-1].runsets[0].filters


def test_every_key_of_a_panel_is_one_that_a_run_logs(results, cell, monkeypatch):
    config = cell("task=toy_cls", "model=tiny-bert", "tracker=wandb", *SHORT)
    training.run_cell(config)
    (run,) = runs_of(config.work_dir)
    shown = json.loads(inspect(run.parent, "--summary"))
    logged_config = set(names.flat(shown["config"])) | set(shown["config"])

    dashboard.write(dashboard.workspace("dcft", ""), dashboard.report("dcft", "", dashboard.read_all(results)), results)
    view, page = load(results)
    panels = [panel for section in view.sections for panel in section.panels]
    panels += [panel for grid in grids(page) for panel in grid.panels]
    history, summary, groups = plotted(panels)
    groups |= {key.name for key in view.runset_settings.groupby}
    for grid in grids(page):
        groups |= {group.removeprefix("config.").replace(".value", "") for group in grid.runsets[0].groupby}
    unknown = {"error"}  # of runs that failed
    columns = view.runset_settings.pinned_columns + [c for grid in grids(page) for c in grid.runsets[0].pinned_columns]
    summary |= {column.removeprefix("summary:") for column in columns if column.startswith("summary:")} - unknown
    groups |= {column[7:].removesuffix(".value") for column in columns if column.startswith("config:")}
    assert len(history) == 3
    assert history <= set(history_of(run))
    assert {"score", "params.adapter", "failed", "collapsed"} <= summary <= set(names.flat(shown["summary"]))
    assert {"task", "model", "variant", "stride"} <= groups <= logged_config


def test_a_table_s_section_has_its_runs_and_says_what_they_are(results):
    page = dashboard.report("dcft", "", dashboard.read_all(results))
    demo, strides = (grid.runsets[0] for grid in grids(page)[3:5])
    cells = [cell.name for cell in dashboard.read_all(results)[0].unique()]
    assert len(cells) == 6
    assert re.findall(r"'([^']+)'", demo.filters) == cells
    assert demo.groupby == ["config.task", "config.method", "config.kernel"]  # a stride that is the kernel adds nothing
    assert strides.groupby == ["config.task", "config.method", "config.stride"]
    text = json.dumps(page._to_model().model_dump())
    assert "toy data, generated, no benchmark: toy: similarity, toy: polarity" in text
    assert "backbone not one of the paper's: tiny random BERT" in text


def test_the_files_are_the_same_at_each_call(results):
    contents = []
    for seed in ("1", "2"):
        assert script(results, PYTHONHASHSEED=seed).returncode == 0
        contents.append([(results / "dashboard" / f"{name}.json").read_bytes() for name in ("workspace", "report")])
    assert contents[0] == contents[1]


@pytest.mark.slow
def test_a_server_that_cannot_be_reached_means_json(results, monkeypatch, capsys):
    for name, value in (KEY | {"WANDB_BASE_URL": "http://127.0.0.1:9"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dashboard, "TIMEOUT", 2)
    *paths, line = dashboard.publish("dcft", None, results)
    assert line.startswith("not saved to W&B (")
    assert all(os.path.getsize(path) > 1000 for path in paths)


@pytest.mark.slow
def test_a_server_that_never_answers_means_json(results):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        shown = script(results, **KEY, WANDB_BASE_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert shown.returncode == 0, shown.stderr
    assert "not saved to W&B" in shown.stdout.splitlines()[-1]
    load(results)


def test_a_missing_package_is_one_line(results):
    code = (
        "import runpy, sys; sys.modules['wandb_workspaces'] = None; sys.argv[1:1] = ['--results'];"
        f"runpy.run_path({str(ROOT / 'scripts' / 'dashboard.py')!r}, run_name='__main__')"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    shown = subprocess.run(
        [sys.executable, "-c", code, str(results)], capture_output=True, text=True, env=environment, timeout=120
    )
    assert shown.returncode == 1
    assert shown.stderr.splitlines() == [
        'error: the dashboard needs the package wandb-workspaces; pip install -c constraints.txt -e ".[dashboard]"'
    ]


class Server(http.server.BaseHTTPRequestHandler):
    """As much of W&B's API as saving asks for. It has the project, and a report that an earlier call saved."""

    saved = {}

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"]))) if self.path == "/graphql" else {}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"data": self.answer(request)}).encode())

    def answer(self, request):
        query, given = request.get("query", ""), request.get("variables") or {}
        pages = {"endCursor": None, "hasNextPage": False}
        if "upsertView(" in query:
            self.saved[given["type"]] = given
            node = {"id": "new", "name": given["name"], "displayName": given["displayName"], "spec": given["spec"]}
            project = {"name": given["projectName"], "entityName": given["entityName"]}
            return {"upsertView": {"view": node | {"description": "", "project": project}, "inserted": True}}
        if "models(" in query:
            node = {"id": "1", "name": "dcft", "entityName": "team", "createdAt": "2026-01-01T00:00:00"}
            edges = [{"node": node | {"isBenchmark": False, "user": None, "__typename": "Project"}}]
            return {"models": {"pageInfo": pages | {"__typename": "PageInfo"}, "edges": edges}}
        if "allViews(" in query:
            node = {"id": "earlier", "name": "r", "displayName": "DCFT scores and sizes", "spec": "{}"}
            return {"project": {"allViews": {"edges": [{"cursor": "1", "node": node}], "pageInfo": pages}}}
        person = {"id": "1", "entity": "team", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}
        return {"viewer": person}

    def log_message(self, *_):
        pass


def test_with_a_login_both_are_saved_in_their_places_and_their_addresses_printed(results):
    assert script(results, "--entity", "team").returncode == 0  # the files, to compare with
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    shown = script(results, **KEY, WANDB_BASE_URL=address)
    server.shutdown()
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines() == [
        f"{address}/team/dcft?nw=dcft",
        f"{address}/team/dcft/reports/DCFT-scores-and-sizes--new",
    ]
    view, page = Server.saved["project-view"], Server.saved["runs"]
    assert view["name"] == "nw-dcft-v"
    assert page["id"] == "earlier"
    for sent, name in ((view, "workspace"), (page, "report")):
        written = json.loads((results / "dashboard" / f"{name}.json").read_text())
        assert (sent["entityName"], sent["projectName"]) == ("team", "dcft")
        assert json.loads(sent["spec"]) == written["spec"]
