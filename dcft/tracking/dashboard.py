"""The project's W&B workspace and report: saved to W&B, or written as JSON without a login or a network.

The dashboard plots the names of `dcft.tracking.names` and reads sweeps. It composes and runs nothing.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import wandb

from dcft.config.schema import KNOBS
from dcft.errors import UserError
from dcft.results import atomic
from dcft.results.records import BadRecord
from dcft.results.records import read_all as read_records
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
VIEW = "nw-dcft-v"  # the workspace's name in its address; constant, so that saving again replaces the workspace
TIMEOUT = 20  # seconds to wait for the server
GROUPS = ("task", "model", "variant")  # runs of a group differ in their seed only, except in Tables 5 and 6
BAD = ["failed", "crashed", "killed"]  # states of a W&B run that has no score
COLUMNS = [
    "run:displayName",
    "run:state",
    *(f"config:{key}.value" for key in ("task", "model", "variant", "seed", "toy", "substitute_backbone")),
    *(f"summary:{key}" for key in ("score", "params.adapter", "status", "collapsed", "whole_data", "error")),
]


def publish(project: str, entity: str | None, results: Path) -> list[str]:
    """Save workspace and report to W&B, or write them to results/dashboard if W&B does not accept them.

    Args:
        project: the W&B project that runs are tracked in.
        entity: the W&B team. None: the login's default team.
        results: the results folder; its sweeps become sections of the report.

    Returns:
        Lines for the user: the two addresses, or the two paths and how to push them.

    Raises:
        UserError: if a sweep cannot be read.
    """
    sweeps, bad = read_all(results), read_records(results)[1]
    reason = "no W&B login"
    if os.environ.get("WANDB_MODE", "online") == "online" and wandb.login(prompt=False, verify=False):
        try:
            return save(project, entity, sweeps, bad)
        except Exception as error:  # no network, unknown team, missing rights
            reason = f"not saved to W&B ({' '.join(str(error).split())})"
    paths = write(workspace(project, entity or ""), report(project, entity or "", sweeps, bad), results)
    return [*map(str, paths), f"{reason}; to push both: wandb login, then make dashboard again"]


def save(project: str, entity: str | None, sweeps: list[Sweep], bad: Sequence[BadRecord] = ()) -> list[str]:
    """Save workspace and report to W&B and return their addresses. What an earlier call saved is replaced."""
    api = wandb.Api(timeout=TIMEOUT)
    entity = entity or api.default_entity
    page = report(project, entity, sweeps, bad)
    if project in [saved.name for saved in api.projects(entity)]:
        ids = [saved.id for saved in api.reports(f"{entity}/{project}") if saved.display_name == page.title]
        page.id = ids[0] if ids else ""
    page.save()  # creates the project if there is none
    return [workspace(project, entity).save().url, page.url]


def write(view: ws.Workspace, page: wr.Report, results: Path) -> list[Path]:
    """Write workspace and report as the JSON that W&B stores, the same bytes for the same sweeps. Returns the paths."""
    paths = []
    for name, document in (("workspace", view), ("report", page)):
        paths.append(results / "dashboard" / f"{name}.json")
        content = document._to_model().model_dump_json(by_alias=True, exclude_none=True, indent=1)
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
            ws.Section(name=name, panels=_with_ids(name, panels), is_open=True, pinned=True)
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


def report(project: str, entity: str, sweeps: list[Sweep], bad: Sequence[BadRecord] = ()) -> wr.Report:
    """The report: all runs, one section a table, the runs that failed or collapsed, and the records left out."""
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
    without_score = [expr.Metric("State").isin(BAD), *(expr.Summary(key) == 1 for key in ("failed", "collapsed"))]
    blocks += [
        wr.H1("Failed and collapsed runs"),
        wr.P("A failed run has no score; a collapsed one gives one answer to everything."),
        _grid("Failed and collapsed", [failures()], filters=expr.Or(*without_score)),
    ]
    if bad:
        blocks += [wr.H1("Records left out"), *(wr.P(str(one)) for one in bad)]
    return wr.Report(project=project, entity=entity, title=f"{TITLE} scores and sizes", blocks=blocks, width="fluid")


def score() -> wr.BarPlot:
    """The score of each group of runs, as bars."""
    return wr.BarPlot(title="Score", metrics=["score"], title_x="percent", layout=wr.Layout(w=24, h=10))


def pareto() -> wr.ScatterPlot:
    """Score against adapter parameters, one point per run."""
    return wr.ScatterPlot(
        title="Score against adapter parameters",
        x=wr.SummaryMetric("params.adapter"),
        y=wr.SummaryMetric("score"),
        log_x=True,
        layout=wr.Layout(w=24, h=10),
    )


def curves() -> list[wr.LinePlot]:
    """Scores and losses over optimiser steps."""
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
    """Number of failed and collapsed runs of each method."""
    return wr.BarPlot(
        title="Failed and collapsed runs by method",
        metrics=["failed", "collapsed"],
        groupby=wr.Config("variant"),
        groupby_aggfunc="sum",
        title_x="runs",
        layout=wr.Layout(w=24, h=10),
    )


def _table(table: Sweep) -> wr.PanelGrid:
    """Panels of a table's runs, chosen by name, because a run of several tables is in the first one's group only."""
    models = {row.model for row in table.rows}
    keys = ["task", *(["model"] if len(models) > 1 else []), "method"]
    seen = []  # a knob with the same values as another (a stride equal to its kernel) adds nothing
    for knob in KNOBS:
        values = [row.knobs.get(knob) for row in table.rows]
        if len({value for value in values if value is not None}) > 1 and values not in seen:
            seen.append(values)
            keys.append(knob)
    by_name = expr.Metric("Name").isin([cell.name for cell in table.unique()])
    return _grid(table.name, [score(), pareto()], filters=expr.And(by_name), groupby=[f"config.{key}" for key in keys])


def _describe(table: Sweep) -> str:
    """Caption, cells and seeds of a table; toy data and backbones that are not the paper's are named."""
    notes = [f"{table.caption}. {len(table.unique())} cells, seeds {', '.join(map(str, table.seeds))}"]
    if toys := [column.title for column in table.columns if column.toy]:
        notes.append(f"toy data, generated, no benchmark: {', '.join(toys)}")
    if substitutes := sorted({row.model_title for row in table.rows if row.substitute}):
        notes.append(f"backbone not one of the paper's: {', '.join(substitutes)}")
    return "; ".join(notes) + "."


def _grid(name: str, panels: list, **runs) -> wr.PanelGrid:
    order = [wr.OrderBy(wr.SummaryMetric("score"), ascending=False)]
    runset = wr.Runset(name=name, order=order, pinned_columns=COLUMNS, **runs)
    runset._id = _id(f"runs of {name}")
    return wr.PanelGrid(runsets=[runset], panels=_with_ids(name, panels))


def _with_ids(place: str, panels: list) -> list:
    """Panels with ids that are the same at each call; the library's ids are random."""
    for panel in panels:
        panel._id = _id(f"{place}: {panel.title}")
    return panels


def _id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
