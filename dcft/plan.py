"""From a table's definition (conf/table) to its sweep, without running any cell. Nothing here imports torch."""

import hashlib
import json
import math
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from dcft import sweep
from dcft.config import RunConfig, build
from dcft.errors import CONF, UserError
from dcft.sweep import Cell, Column, Row, Sweep

FIRST_SEED = 6  # of the official scripts; seeds=N adds those that follow
KNOBS = ("kernel", "stride", "targets", "rank", "bottleneck")
OWN = ("table", "seeds", "only", "methods", "dry")  # settings of a table, not of its cells
PLACES = ("results.dir", "outputs.dir", "data.root", "model.path")  # where files lie: no part of what a cell is
# What a plan depends on besides conf/: the code that turns settings into cells.
SOURCES = ("config.py", "identity.py", "recipes.py", "plan.py", "sweep.py", "data/toy.py")


@dataclass
class Request:
    """What the command line asks of a table."""

    table: dict[str, Any]
    overrides: list[str]  # for every cell; they go before the table's own settings
    seeds: list[int] | None  # None: the table's own
    only: list[str] | None  # tasks to run; None: all
    methods: list[str] | None  # methods to run; None: all
    dry: bool  # plan and print, run nothing

    @property
    def results(self) -> Path:
        """The results folder."""
        return Path(self.given.get("results.dir") or self.table["base"].get("results.dir") or "results")

    @property
    def outputs(self) -> Path:
        """The folder of checkpoints, logs and caches."""
        return Path(self.given.get("outputs.dir") or self.table["base"].get("outputs.dir") or "outputs")

    @property
    def given(self) -> dict[str, str]:
        """Every override by its key."""
        return dict(override.lstrip("+").split("=", 1) for override in self.overrides)

    @property
    def name(self) -> str:
        """The table's name, with what the command line changes of the experiment."""
        parts = [self.table["name"]]
        parts += [f"seeds{len(self.seeds)}"] if self.seeds else []
        for key, value in self.given.items():
            if value == str(self.table["base"].get(key)):
                continue  # nothing new
            if key == "data.root":
                parts.append("local")
            elif key not in PLACES and not key.startswith("tracker"):
                parts.append(value if key in ("model", "preset") else key.rpartition(".")[2] + value)
        return "-".join("".join(c if c.isalnum() or c in "._-" else "_" for c in part) for part in parts)

    def selects(self, cell: Cell, row: Row) -> bool:
        """Whether the filters `only=` and `methods=` let a cell run."""
        return (self.only is None or cell.task in self.only) and (self.methods is None or row.method in self.methods)


def request(arguments: list[str]) -> Request:
    """Read the command line of a table: `table=table1 seeds=5 only=rte,cola model=minilm-l6 ...`.

    Raises:
        UserError: if there is no such table, or a setting of the table makes no sense.
    """
    own, overrides = {}, []
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key in OWN:
            own[key] = value
        else:
            overrides.append(argument)
    table = _definition(own.get("table", ""))
    asked = Request(
        table=table,
        overrides=overrides,
        seeds=_seeds(own.get("seeds")),
        only=_choice("only", own.get("only"), table["columns"]),
        methods=_choice(
            "methods", own.get("methods"), sorted({(table["base"] | row)["method"] for row in table["rows"]})
        ),
        dry=own.get("dry", "false").lower() in ("true", "1"),
    )
    if asked.seeds and "seed" in asked.given:
        raise UserError(f"seeds={own['seeds']} and seed={asked.given['seed']} contradict each other; give one of them")
    return asked


def _definition(name: str) -> dict[str, Any]:
    path = CONF / "table" / f"{name}.yaml"
    if not path.is_file():
        names = ", ".join(sorted(path.stem for path in (CONF / "table").glob("*.yaml")))
        raise UserError(f"table={name}: there is no such table; give one of {names}")
    table = yaml.safe_load(path.read_text(encoding="utf-8"))["table"]
    return {"name": name, "base": {}, "seeds": [FIRST_SEED]} | table


def _values(table: dict[str, Any], key: str) -> list[str]:
    """What the rows of a table have under a key."""
    return sorted({(table["base"] | row)[key] for row in table["rows"]})


def _seeds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    numbers = text.strip("[]").split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise UserError(f"seeds={text}: give how many, such as seeds=5, or a list such as seeds=[6,7,8]")
    seeds = [int(number) for number in numbers]
    if "[" not in text and len(seeds) == 1:
        seeds = list(range(FIRST_SEED, FIRST_SEED + seeds[0]))
    if not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"seeds={text}: give at least one seed, and each once")
    return seeds


def _choice(key: str, text: str | None, known: list[str]) -> list[str] | None:
    if text is None:
        return None
    chosen = text.strip("[]").split(",")
    for name in chosen:
        if name not in known:
            raise UserError(f"{key}={name} is not in this table; give some of {', '.join(known)}")
    return chosen


def load(asked: Request) -> Sweep:
    """The sweep of a table: the one kept in `results/sweeps` if nothing has changed since, else a new one, kept there.

    Raises:
        UserError: if a cell cannot be composed.
    """
    digest = _digest(asked)
    path = sweep.path_of(asked.name, asked.results)
    if path.is_file():
        try:
            kept = sweep.read(path)
        except UserError:  # of another version of the suite
            kept = None
        if kept and kept.digest == digest:
            return kept
    planned = plan(asked)
    planned.digest = digest
    planned.write(asked.results)
    return planned


def _digest(asked: Request) -> str:
    """Of everything that the cells' names depend on; local files by size and time instead of content."""
    here = Path(__file__).parent
    sources = [*sorted(CONF.rglob("*.yaml")), *(here / name for name in SOURCES)]
    places = []
    for key in ("data.root", "model.path"):
        if value := asked.given.get(key):
            found = sorted(path for path in Path(value).rglob("*") if path.is_file())
            places.append([[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in found])
    content = {
        "sources": [hashlib.sha256(path.read_bytes()).hexdigest() for path in sources],
        "overrides": asked.overrides,
        "seeds": asked.seeds,
        "places": places,
        "packages": _package_versions(asked),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _package_versions(asked: Request) -> dict[str, str]:
    """Installed versions of the packages that carry the weights of the table's backbones."""
    names = {
        asked.given.get("model") or row.get("model") or asked.table["base"].get("model") for row in asked.table["rows"]
    }
    found = {}
    for path in (CONF / "model" / f"{name}.yaml" for name in names):
        if path.is_file() and (package := yaml.safe_load(path.read_text(encoding="utf-8")).get("package")):
            with suppress(PackageNotFoundError):
                found[package] = version(package.replace("_", "-"))
    return found


def plan(asked: Request) -> Sweep:
    """All cells of a table: rows times columns times seeds. Rows that the command line makes equal are kept once.

    Raises:
        UserError: if a cell cannot be composed.
        HydraException: if a setting names nothing that there is.
    """
    from dcft.compose import Composer

    compose = Composer()
    table, given = asked.table, asked.given
    extra = asked.overrides
    if given.get("tracker", "none") != "none" and "tracker.group" not in given:
        extra = [*extra, f"tracker.group={asked.name}"]
    seeds = [int(given["seed"])] if "seed" in given else asked.seeds or table["seeds"]
    rows, cells, columns, known = [], [], {}, set()
    for settings in table["rows"]:
        knobs = {key: value for key, value in settings.items() if key not in ("title", "paper")}
        configs = []
        for task in table["columns"]:
            wanted = {"task": task, **table["base"], **knobs}
            overrides = [f"{key}={value}" for key, value in wanted.items() if key not in given] + extra
            configs.append((build(compose(overrides)), overrides))
        row_cells = [
            _cell(replace(config, seed=seed), [*(o for o in overrides if not o.startswith("seed=")), f"seed={seed}"])
            for config, overrides in configs
            for seed in seeds
        ]
        names = tuple(cell.name or " ".join(cell.overrides) for cell in row_cells)
        if names in known:
            continue
        known.add(names)
        cells += [replace(cell, row=len(rows)) for cell in row_cells]
        rows.append(_row(configs[0][0], settings, table))
        columns |= {config.task.name: _column(config) for config, _ in configs}
    return Sweep(
        name=asked.name,
        table=table["name"],
        caption=table["caption"],
        columns=list(columns.values()),
        rows=rows,
        seeds=seeds,
        cells=cells,
        average=table.get("average", False),
        times=table.get("times", False),
        baseline=table.get("baseline"),
        overrides=[override for override in asked.overrides if override.split("=")[0] not in PLACES],
    )


def _row(config: RunConfig, settings: dict[str, Any], table: dict[str, Any]) -> Row:
    label = settings.get("paper")
    printed = {"label": label, "model": settings.get("model") or table["base"]["model"]} if label else None
    knobs = {knob: getattr(config, knob) for knob in KNOBS if getattr(config, knob) is not None}
    if config.method.peft is None or config.bottleneck is not None:
        knobs.pop("targets")  # the method chooses its matrices itself
    title, model = settings.get("title") or config.method.title, config.model
    return Row(title, config.method.name, model.name, model.title, model.substitute, knobs, printed)


def _column(config: RunConfig) -> Column:
    task = config.task
    return Column(task.name, task.title, task.printed or task.score, task.score, task.toy)


def _cell(config: RunConfig, overrides: list[str]) -> Cell:
    """A cell and its cost; `row` is filled in by the caller."""
    cell = Cell(-1, config.task.name, config.seed, overrides)
    try:
        config.require_data()
    except UserError as error:  # the rest of the table can run
        cell.problem = str(error)
        return cell
    cell.name = config.cell
    cell.record = str(config.record_path.relative_to(config.results.dir))
    limits = {split: config.data.max_train if split == "train" else config.data.max_eval for split in config.task.rows}
    rows = {split: min(n, limits[split] or n) for split, n in config.task.rows.items()}
    per_epoch = math.ceil(rows["train"] / config.train.batch_size)
    steps = config.train.max_steps or math.ceil(config.train.epochs * per_epoch)
    cell.train_samples = round(steps * rows["train"] / per_epoch)
    evaluations = math.ceil(steps / config.eval.every)
    cell.dev_samples = evaluations * sum(n for split, n in rows.items() if split != "train")
    return cell
