"""The command line of a table: `table=table1 seeds=5 only=rte,cola model=minilm-l6 ...`. Nothing here imports torch."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from dcft.config.arguments import parse, plain, written
from dcft.config.build import refuse_passwords
from dcft.config.compose import SEARCH_PATH
from dcft.config.conf import CONF, OF_TABLES
from dcft.errors import UserError
from dcft.results.sweeps import Cell, Row
from dcft.sweep import tune
from dcft.sweep.definition import BY_TASK, FIRST_SEED, define

MOST_SEEDS = 10_000  # each is a cell for every row and task
OWN = ("table", *OF_TABLES)  # settings of a table, not of its cells
FIXED = {"task": "only", "method": "methods"}  # settings that a table has its own of -> what chooses among them
PLACES = ("results.dir", "outputs.dir", "data.root", "model.path")  # where files lie: no part of what a cell is
LONGEST_NAME = 100  # characters of a sweep's name that are for reading


@dataclass
class Request:
    """What the command line asks of a table."""

    table: dict[str, Any]
    overrides: list[str]  # for every cell, as typed; they go before the table's own settings
    given: dict[str, Any]  # the same, read: value by key
    seeds: list[int]
    only: list[str] | None  # tasks to run; None: all
    methods: list[str] | None  # methods to run; None: all
    dry: bool  # plan and print, run nothing
    folders: list[Path]  # with more files, besides conf/
    trials: list[dict[str, Any]]  # settings that every row tries on every task

    def file(self, group: str, name: str) -> Path | None:
        """The file of a task, a model or a table, wherever it lies; None if there is none."""
        paths = (folder / group / f"{name}.yaml" for folder in [CONF, *self.folders])
        return next(filter(Path.is_file, paths), None)

    @property
    def search_path(self) -> list[str]:
        """The override by which a cell finds files outside of conf/; empty without such folders."""
        return [f"{SEARCH_PATH}={written([*map(str, self.folders)])}"] if self.folders else []

    def place(self, key: str) -> Path | None:
        """Where files lie: one of `PLACES`, from the command line, the table or conf/config.yaml."""
        config = OmegaConf.load(CONF / "config.yaml")
        for name in PLACES:
            value = self.given.get(name, self.table["base"].get(name))
            if value is not None:
                OmegaConf.update(config, name, value)
        value = OmegaConf.select(config, key)
        return None if value is None else Path(value)

    @property
    def changes(self) -> dict[str, Any]:
        """What the command line changes of the experiment: not where results go, nor what the table has anyway."""
        return {
            key: value
            for key, value in sorted(self.given.items())
            if key not in ("results.dir", "outputs.dir") and not key.startswith("tracker")
            if value is not None and value != self.table["base"].get(key)
        }

    @property
    def name(self) -> str:
        """The table's name, with what the command line changes of the experiment.

        What cannot be read from it without doubt adds a digest, so that no two experiments share a name.
        """
        changes = self.changes
        parts = [self.table["name"]]
        if "seed" not in changes and self.seeds != self.table["seeds"]:
            follow = self.seeds == list(range(FIRST_SEED, FIRST_SEED + len(self.seeds)))
            parts.append(f"seeds{len(self.seeds) if follow else '_'.join(map(str, self.seeds))}")
        for key in ("model", "preset"):
            parts += [str(changes.pop(key))] if key in changes else []
        parts += ["local"] if changes.pop("data.root", None) else []
        parts += ["path" if key == "model.path" else f"{key.rpartition('.')[2]}{changes[key]}" for key in changes]
        name = "-".join("".join(c if c.isalnum() or c in "._-" else "_" for c in part) for part in parts)
        if not changes:
            return name
        return f"{name[:LONGEST_NAME]}-{hashlib.sha256(json.dumps(changes, default=str).encode()).hexdigest()[:6]}"

    def selects(self, cell: Cell, row: Row) -> bool:
        """Whether the filters `only=` and `methods=` let a cell run."""
        return (self.only is None or cell.task in self.only) and (self.methods is None or row.method in self.methods)


def read(arguments: list[str], folders: Sequence[Path] = ()) -> Request:
    """Read the command line of a table: `table=table1 seeds=5 only=rte,cola model=minilm-l6 ...`.

    Args:
        arguments: of the command line, those for Hydra itself left out.
        folders: with files besides conf/, absolute. A file of conf/ goes before one of the same name.

    Raises:
        UserError: if there is no such table or folder, or a setting makes no sense for a table.
        HydraException: if an argument cannot be read.
    """
    refuse_passwords(arguments)
    own, given, overrides = {}, {}, []
    for override in parse(arguments):
        key, line = override.key_or_group, override.input_line
        if override.is_delete():
            raise UserError(f"{line}: a table's settings can be changed, not taken away; leave it out")
        if key in own or key in given:
            raise UserError(f"{line}: {key} is given twice; give it once")
        if key in OWN:
            own[key] = _values_of(override)
        elif key in FIXED:
            raise UserError(f"{line}: a table has a {key} for each cell; give {FIXED[key]}= to run some of them")
        elif override.is_sweep_override():
            raise UserError(f"{line}: a table takes one value for a setting of its cells; give one")
        else:
            given[key] = plain(override.value())
            overrides.append(line)
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder} does not exist; give the folder that holds table/, task/ or method/")
    table = define(*own.get("table") or [""], folders)
    rows = table["rows"]
    own_of_rows = {key for row in rows for key in row}
    own_of_rows |= {key for row in [table["base"], *rows] for one in of_tasks(row) for key in one}
    same = {key for key in given if key not in own_of_rows and table["base"].get(key) == given[key]}  # changes nothing
    overrides = [line for key, line in zip(given, overrides, strict=True) if key not in same]
    given = {key: value for key, value in given.items() if key not in same}
    return Request(
        table=table,
        overrides=overrides,
        given=given,
        seeds=_seeds(own.get("seeds"), given, table),
        only=_choice("only", own.get("only"), table["columns"]),
        methods=_choice("methods", own.get("methods"), of_rows(table, "method")),
        dry=_yes("dry", own.get("dry")),
        folders=list(folders),
        trials=tune.trials(table, given),
    )


def _values_of(override: Override) -> list[Any] | None:
    """`a`, `a,b` and `[a,b]` as a list; null as None."""
    if override.is_sweep_override():
        return list(override.sweep_iterator())
    value = plain(override.value())
    return value if isinstance(value, list) or value is None else [value]


def on_task(settings: dict[str, Any], task: str) -> dict[str, Any]:
    """The settings of a row, or of a table's base, on a task: those of all tasks, changed by those of this one."""
    return {key: value for key, value in settings.items() if key != BY_TASK} | settings.get(BY_TASK, {}).get(task, {})


def of_tasks(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """What a row, or a table's base, has on single tasks."""
    return list(settings.get(BY_TASK, {}).values())


def of_rows(table: dict[str, Any], key: str) -> list[str]:
    """What the rows of a table have under a key."""
    return sorted({(table["base"] | row)[key] for row in table["rows"]})


def _seeds(values: list[Any] | None, given: dict[str, Any], table: dict[str, Any]) -> list[int]:
    text = ",".join(map(str, values or []))
    if values is not None and "seed" in given:
        raise UserError(f"seeds={text} and seed={given['seed']} contradict each other; give one of them")
    if values is None:
        values = [given["seed"]] if "seed" in given else table["seeds"]
    elif len(values) == 1 and isinstance(values[0], int):
        if values[0] > MOST_SEEDS:
            raise UserError(f"seeds={text}: give at most {MOST_SEEDS}, or a list of seeds, such as seeds=[6,7,8]")
        values = list(range(FIRST_SEED, FIRST_SEED + values[0]))
    if not all(type(seed) is int and seed >= 0 for seed in values):
        said = f"seeds={text}" if text else f"seed={given['seed']}"
        raise UserError(f"{said}: give how many, such as seeds=5, or a list of whole numbers, such as seeds=[6,7,8]")
    if not values or len(set(values)) < len(values):
        raise UserError(f"seeds={text}: give at least one seed, and each once")
    return values


def _choice(key: str, values: list[Any] | None, known: list[str]) -> list[str] | None:
    for name in values or []:
        if name not in known:
            raise UserError(f"{key}={name} is not in this table; give some of {', '.join(known)}")
    return values


def _yes(key: str, values: list[Any] | None) -> bool:
    value = (values or [False])[0]
    if value not in (True, False):  # 1 and 0 are these, too
        raise UserError(f"{key}={value}: give true or false")
    return bool(value)
