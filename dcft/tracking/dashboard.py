"""The project's W&B workspace and report: saved to W&B, or written as JSON without a login or a network.

A view: it plots the names of `dcft.tracking.names` and reads sweeps; it composes and runs nothing.
"""

import hashlib
import os
from pathlib import Path

import wandb

from dcft.config.schema import KNOBS
from dcft.errors import UserError
from dcft.results import atomic
from dcft.results.sweeps import Sweep, read_all
from dcft.tracking import names

try:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces import expr
except ImportError as error:
    raise UserError(
        'the dashboard needs the package wandb-workspaces; pip install -c constraints.txt -e ".[dashboard]"'
    ) from error

TITLE = "DCFT"
VIEW = "nw-dcft-v"  # the workspace's name in its address: the same at each call, so that saving again replaces it
TIMEOUT = 20  # seconds to wait for the server
GROUPS = ("task", "model", "variant")  # of runs that differ in their seed at most, but for Tables 5 and 6
BAD = ["failed", "crashed", "killed"]  # states of a W&B run that has no score
COLUMNS = [
    "run:displayName",
    "run:state",
    *(f"config:{key}.value" for key in ("task", "model", "variant", "seed", "toy", "substitute_backbone")),
    *(f"summary:{key}" for key in ("score", "params.adapter", "status", "collapsed", "whole_data", "error")),
]


def publish(project: str, entity: str | None, results: Path) -> list[str]:
    """Save workspace and report to W&B; without a login or a way to W&B write them below results/dashboard.

    Args:
        project: the W&B project that runs are tracked in.
        entity: the W&B team; None for the login's default one.
        results: the results folder; its sweeps become sections of the report.

    Returns:
        Lines for the user: the two addresses, or the two paths and how to push them.

    Raises:
        UserError: if a sweep cannot be read.
    """
    sweeps = read_all(results)
    reason = "no W&B login"
    if os.environ.get("WANDB_MODE", "online") == "online" and wandb.login(prompt=False, verify=False):
        try:
            return save(project, entity, sweeps)
        except Exception as error:  # no network, no such team, no rights: whatever W&B says
            reason = f"not saved to W&B ({' '.join(str(error).split())})"
    paths = write(workspace(project, entity or ""), report(project, entity or "", sweeps), results)
    return [*map(str, paths), f"{reason}; to push both: wandb login, then make dashboard again"]


def save(project: str, entity: str | None, sweeps: list[Sweep]) -> list[str]:
    """Save both to W&B, in the place of what an earlier call saved; returns their addresses."""
    api = wandb.Api(timeout=TIMEOUT)
    entity = entity or api.default_entity
    page = report(project, entity, sweeps)
    if project in [known.name for known in api.projects(entity)]:
        same = [known.id for known in api.reports(f"{entity}/{project}") if known.display_name == page.title]
        page.id = same[0] if same else ""
    page.save()  # makes the project if there is none
    return [workspace(project, entity).save().url, page.url]


def write(view: ws.Workspace, page: wr.Report, results: Path) -> list[Path]:
    """Write both as JSON, as W&B stores them: the same bytes for the same sweeps; returns the paths."""
    paths = []
    for name, thing in (("workspace", view), ("report", page)):
        paths.append(results / "dashboard" / f"{name}.json")
        content = thing._to_model().model_dump_json(by_alias=True, exclude_none=True, indent=1)
        atomic.write(paths[-1], content + "\n")
    return paths


def workspace(project: str, entity: str) -> ws.Workspace:
    """The workspace: charts over all runs that are shown, grouped by task, backbone and method."""
    sections = {
        "Scores": [score(), failures()],
        "Score against size": [pareto()],
        "Curves": curves(),
    }
    view = ws.Workspace(
        entity=entity,
        project=project,
        name=TITLE,
        sections=[
            ws.Section(name=name, panels=_named(name, panels), is_open=True, pinned=True)
            for name, panels in sections.items()
        ],
        runset_settings=ws.RunsetSettings(
            groupby=[expr.Config(key) for key in GROUPS],
            order=[expr.Ordering(expr.Summary("score"), ascending=False)],
            pinned_columns=COLUMNS,
        ),
    )
    view._internal_name, view._internal_runset_id = VIEW, _id("workspace")
    return view


def report(project: str, entity: str, sweeps: list[Sweep]) -> wr.Report:
    """The report: all runs, one section a table, and the runs that failed or collapsed."""
    groups = [f"config.{key}" for key in GROUPS]
    blocks = [
        wr.P("Scores are the best evaluation on the dev set, in percent. Bars are means over seeds."),
        wr.P("Runs tagged toy are no benchmark; the backbone of runs tagged substitute-backbone is not the paper's."),
        wr.H1("All runs"),
        _grid("Scores", [score()], groupby=groups),
        _grid("Score against size", [pareto()]),
        _grid("Curves", curves(), groupby=groups),
    ]
    for table in sweeps:
        blocks += [wr.H1(table.name), wr.P(_describe(table)), _table(table)]
    bad = [expr.Metric("State").isin(BAD), *(expr.Summary(key) == 1 for key in ("failed", "collapsed"))]
    blocks += [
        wr.H1("Failed and collapsed runs"),
        wr.P("A failed run has no score; a collapsed one gives one answer to everything."),
        _grid("Failed and collapsed", [failures()], filters=expr.Or(*bad)),
    ]
    return wr.Report(project=project, entity=entity, title=f"{TITLE} scores and sizes", blocks=blocks, width="fluid")


def score() -> wr.BarPlot:
    """A bar a group of runs."""
    return wr.BarPlot(title="Score", metrics=["score"], title_x="percent", layout=wr.Layout(w=24, h=10))


def pareto() -> wr.ScatterPlot:
    """A point a run: what a method reaches with how many parameters."""
    return wr.ScatterPlot(
        title="Score against adapter parameters",
        x=wr.SummaryMetric("params.adapter"),
        y=wr.SummaryMetric("score"),
        log_x=True,
        layout=wr.Layout(w=24, h=10),
    )


def curves() -> list[wr.LinePlot]:
    """How runs went, over optimiser steps."""
    plots = {
        names.DEV_SCORE: ("Score on dev", "percent"),
        names.DEV_LOSS: ("Loss on dev", "loss"),
        names.TRAIN["loss"]: ("Training loss", "loss"),
    }
    return [
        wr.LinePlot(title=title, x="Step", y=[key], title_x="step", title_y=unit, layout=wr.Layout(x=8 * i, w=8, h=8))
        for i, (key, (title, unit)) in enumerate(plots.items())
    ]


def failures() -> wr.BarPlot:
    """How many runs of each method failed or collapsed."""
    return wr.BarPlot(
        title="Failed and collapsed runs by method",
        metrics=["failed", "collapsed"],
        groupby=wr.Config("variant"),
        groupby_aggfunc="sum",
        title_x="runs",
        layout=wr.Layout(w=24, h=10),
    )


def _table(table: Sweep) -> wr.PanelGrid:
    """A table's runs by name, since a run that several tables share belongs to the group of the first one only."""
    models = {row.model for row in table.rows}
    keys = ["task", *(["model"] if len(models) > 1 else []), "method"]
    seen = []  # a knob that tells rows apart as another one does (a stride that equals its kernel) adds nothing
    for knob in KNOBS:
        values = [row.knobs.get(knob) for row in table.rows]
        if len({value for value in values if value is not None}) > 1 and values not in seen:
            seen.append(values)
            keys.append(knob)
    names = expr.Metric("Name").isin([cell.name for cell in table.unique()])
    return _grid(table.name, [score(), pareto()], filters=expr.And(names), groupby=[f"config.{key}" for key in keys])


def _describe(table: Sweep) -> str:
    """What the numbers of a table are; nothing that would make them look like the paper's is left unsaid."""
    notes = [f"{table.caption}. {len(table.unique())} cells, seeds {', '.join(map(str, table.seeds))}"]
    if toys := [column.title for column in table.columns if column.toy]:
        notes.append(f"toy data, generated, no benchmark: {', '.join(toys)}")
    if others := sorted({row.model_title for row in table.rows if row.substitute}):
        notes.append(f"backbone not one of the paper's: {', '.join(others)}")
    return "; ".join(notes) + "."


def _grid(name: str, panels: list, **runs) -> wr.PanelGrid:
    order = [wr.OrderBy(wr.SummaryMetric("score"), ascending=False)]
    runset = wr.Runset(name=name, order=order, pinned_columns=COLUMNS, **runs)
    runset._id = _id(f"runs of {name}")
    return wr.PanelGrid(runsets=[runset], panels=_named(name, panels))


def _named(place: str, panels: list) -> list:
    """Panels with ids that are the same at each call; the library draws them."""
    for panel in panels:
        panel._id = _id(f"{place}: {panel.title}")
    return panels


def _id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
