"""From a table's definition (conf/table) to its sweep, without running any cell. Nothing here imports torch."""

import hashlib
import json
import math
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from dcft.config.build import build
from dcft.config.cell import RunConfig, record_place
from dcft.config.compose import Composer
from dcft.config.conf import CONF
from dcft.config.digests import start_files, weight_files
from dcft.config.schema import KNOBS, used_knobs
from dcft.errors import UserError
from dcft.results import sweeps
from dcft.results.sweeps import Cell, Column, Row, Sweep
from dcft.sweep import memory
from dcft.sweep.request import PLACES, Request, of_rows, of_tasks, on_task

# What a plan depends on besides conf/: the code that turns settings into cells, and tells their memory.
SOURCES = (
    *("config/*.py", "sweep/request.py", "sweep/tune.py", "sweep/plan.py", "results/sweeps.py"),
    *("sweep/memory.py", "paper/memory.py", "paper/counts.py"),
)


def load_plan(request: Request) -> Sweep:
    """The sweep of a table: the one kept in `results/sweeps` if nothing has changed since, else a new one, kept there.

    A new plan is not kept if it cannot name a cell that the old one names: a wrong data.root must not lose results.

    Raises:
        UserError: if a cell cannot be composed, or the plan cannot be kept.
    """
    digest, results = _digest(request), request.place("results.dir")
    path, named = sweeps.path_of(request.name, results), set()
    if path.is_file():
        with suppress(UserError):  # of another version of the suite
            kept = sweeps.read(path)
            if kept.digest == digest:
                return kept
            named = {_place(cell) for cell in kept.cells if cell.name}
    planned = plan(request)
    planned.digest = digest
    if not any(cell.problem and _place(cell) in named for cell in planned.cells):
        planned.write(results)
    return planned


def _place(cell: Cell) -> tuple[int, str, int, int | None]:
    return cell.row, cell.task, cell.seed, cell.trial


def _digest(request: Request) -> str:
    """Of everything that the cells' names depend on, other tables left out; local files by size and time."""
    package = Path(__file__).parent.parent
    groups = {path.name for path in CONF.iterdir() if path.is_dir()} - {"table"}  # a folder may hold other things, too
    folders = [folder / group for folder in [CONF, *request.folders] for group in sorted(groups)]
    sources = [
        CONF / "config.yaml",
        *(path for folder in folders for path in sorted(folder.rglob("*.yaml"))),
        *sorted(path for name in SOURCES for path in package.glob(name)),
    ]
    content = {
        "sources": [hashlib.sha256(path.read_bytes()).hexdigest() for path in sources],
        "table": request.table,
        "overrides": [*request.overrides, *request.search_path],
        "seeds": request.seeds,
        "files": [[str(path), *_stamp(path)] for path in _local_files(request)],
        "packages": _package_versions(request),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _local_files(request: Request) -> list[Path]:
    """The files that the cells read from folders of the user, there or not."""
    files = [Path(value) for value in request.given.values() if isinstance(value, str) and Path(value).is_file()]
    if root := request.place("data.root"):
        files += [root / name for task in request.table["columns"] for name in _task_files(task, request).values()]
    if weights := request.place("model.path"):
        files += weight_files(weights)
    rows = [request.table["base"], *request.table["rows"]]
    settings = [*rows, *(one for row in rows for one in of_tasks(row)), *request.trials, request.given]
    starts = {one["model.init_from"] for one in settings if one.get("model.init_from")}
    return files + [file for start in sorted(starts) for file in start_files(Path(start))]


def _task_files(task: str, request: Request) -> dict[str, str]:
    path = request.file("task", task)
    own = yaml.safe_load(path.read_text(encoding="utf-8")) if path else {}
    return own.get("files") or Composer()([f"task={task}", *request.search_path])["task"]["files"]  # of another file


def _stamp(path: Path) -> list[int]:
    return [path.stat().st_size, path.stat().st_mtime_ns] if path.is_file() else []


def _package_versions(request: Request) -> dict[str, str]:
    """Installed versions of the packages that carry the weights of the table's backbones."""
    names = [request.given["model"]] if "model" in request.given else of_rows(request.table, "model")
    found = {}
    for path in filter(None, (request.file("model", name) for name in names)):
        if package := yaml.safe_load(path.read_text(encoding="utf-8")).get("package"):
            with suppress(PackageNotFoundError):
                found[package] = version(package.replace("_", "-"))
    return found


def plan(request: Request) -> Sweep:
    """All cells of a table: rows, columns, trials and seeds. Rows that the command line makes equal are kept once.

    Raises:
        UserError: if a cell cannot be composed.
        HydraException: if a setting names nothing that there is.
    """
    compose = Composer()
    table, given, extra = request.table, request.given, [*request.overrides, *request.search_path]
    if given.get("tracker", "none") != "none" and "tracker.group" not in given:
        extra = [*extra, f"tracker.group={request.name}"]
    rows, cells, columns, known = [], [], {}, {}
    for settings in table["rows"]:
        knobs = {key: value for key, value in settings.items() if key not in ("title", "paper")}
        configs, row_cells = [], []
        for task in table["columns"]:
            wanted = {"task": task} | on_task(table["base"], task) | on_task(knobs, task)
            own, *tried = (_configured(compose, wanted | trial, given, extra) for trial in [{}, *request.trials])
            configs.append(own[0])
            row_cells += _tried(tried, own, request) if tried else _cells(own, request)
        row = _row(configs[0], settings, request)
        names = tuple(cell.name or cell.command for cell in row_cells)
        if names in known:
            if rows[known[names]].paper is None:
                rows[known[names]] = row
            continue
        known[names] = len(rows)
        cells += [replace(cell, row=len(rows)) for cell in row_cells]
        rows.append(row)
        columns |= {config.task.name: _column(config) for config in configs}
    return Sweep(
        name=request.name,
        table=table["name"],
        caption=table["caption"],
        columns=list(columns.values()),
        rows=rows,
        seeds=request.seeds,
        cells=cells,
        average=table.get("average", False),
        times=table.get("times", False),
        baseline=table.get("baseline"),
        overrides=[
            line
            for key, line in zip(given, request.overrides, strict=True)
            if key in request.changes and key not in PLACES
        ],
        trials=request.trials,
    )


Configured = tuple[RunConfig, list[str]]  # a cell and its command line, for any seed


def _configured(compose: Composer, wanted: dict[str, Any], given: dict[str, Any], extra: list[str]) -> Configured:
    overrides = [f"{key}={value}" for key, value in wanted.items() if key not in given] + extra
    return build(compose(overrides)), [line for line in overrides if not line.startswith("seed=")]


def _cells(configured: Configured, request: Request) -> list[Cell]:
    """The cells of a row on a task, one a seed."""
    config, overrides = configured
    return [_cell(replace(config, seed=seed), [*overrides, f"seed={seed}"]) for seed in request.seeds]


def _tried(tried: list[Configured], own: Configured, request: Request) -> list[Cell]:
    """The cells of all trials of a row on a task. The trial with the row's own recipe is marked."""
    cells = [replace(cell, trial=trial) for trial, one in enumerate(tried) for cell in _cells(one, request)]
    names = Counter(cell.name for cell in cells if cell.name)
    if twice := [name for name, count in names.items() if count > 1]:
        raise UserError(f"table={request.table['name']}: two trials of tune are one cell, {twice[0]}; drop one")
    default = {cell.name for cell in _cells(own, request) if cell.name}
    return [replace(cell, default=cell.name in default) for cell in cells]


def _row(config: RunConfig, settings: dict[str, Any], request: Request) -> Row:
    """A row as it is; it reproduces the printed row only with the printed row's settings.

    A substitute backbone stands in for the paper's and keeps its place beside the printed numbers, as a label says.
    """
    own = request.table["base"] | settings
    deciding = {*own, *KNOBS, *(key for one in of_tasks(own) for key in one)} - {"model"}
    changed = any(key in deciding and value != own.get(key) for key, value in request.given.items())
    title = config.method.title if changed else settings.get("title") or config.method.title
    printed = None
    if "paper" in settings and not changed and (config.model.substitute or config.model.name == own["model"]):
        printed = {"label": settings["paper"], "model": own["model"]}
    knobs = used_knobs(vars(config), config.method.peft)
    model = config.model
    return Row(title, config.method.name, model.name, model.title, model.substitute, knobs, printed)


def _column(config: RunConfig) -> Column:
    task = config.task
    return Column(task.name, task.title, task.printed or task.score, task.score, task.toy)


def _cell(config: RunConfig, overrides: list[str]) -> Cell:
    """A cell and its cost; `row` is filled in by the caller."""
    cell = Cell(-1, config.task.name, config.seed, overrides, memory=memory.needed(config))
    try:
        memory.require_fit(config)
        config.require_data()
        cell.name = config.cell  # which asks for the package of the weights
    except UserError as error:  # the rest of the table can run
        cell.problem = str(error)
        return cell
    cell.record = str(record_place(config.model.name, config.task.name, cell.name))
    limits = {split: config.data.max_train if split == "train" else config.data.max_eval for split in config.task.rows}
    rows = {split: min(n, limits[split] or n) for split, n in config.task.rows.items()}
    per_epoch = math.ceil(rows["train"] / config.train.batch_size)
    steps = config.train.max_steps or math.ceil(config.train.epochs * per_epoch)
    cell.train_samples = round(steps * rows["train"] / per_epoch)
    evaluations = math.ceil(steps / config.eval.every)
    cell.dev_samples = evaluations * sum(n for split, n in rows.items() if split != "train")
    return cell
