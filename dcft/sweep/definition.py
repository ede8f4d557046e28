"""What a table is: a file of conf/table, or of a folder of the user, checked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import Required, TypedDict  # pydantic needs this one before Python 3.12

from dcft.config.conf import CONF, RESULTS
from dcft.errors import UserError, shown

FIRST_SEED = 6  # of the official scripts; seeds=N adds those that follow
BY_TASK = "by_task"  # what a row, or a table's base, has on one task alone: {cola: {train.lr: 1e-3}}
Settings = dict[str, Any]


class Table(TypedDict, total=False):
    """The keys below `table:`."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    name: str
    caption: Required[str]
    columns: Required[Annotated[list[str], Field(min_length=1)]]  # names of conf/task
    rows: Required[Annotated[list[Settings], Field(min_length=1)]]  # settings of each row
    base: Settings  # of all rows
    seeds: list[int]
    average: bool
    times: bool
    baseline: str  # a row's title, or a method
    tune: Any  # `dcft.sweep.tune` reads it


SCHEMA = TypeAdapter(Table)


def define(name: str, folders: Sequence[Path]) -> dict[str, Any]:
    """The definition of a table.

    Args:
        name: of the file.
        folders: with a folder `table` each, besides conf/, whose files go first.

    Raises:
        UserError: if there is no such table, or its file defines none.
    """
    paths = {path.stem: path for folder in [*folders[::-1], CONF] for path in (folder / "table").glob("*.yaml")}
    if name not in paths:
        raise UserError(f"table={name}: there is no such table; give one of {', '.join(sorted(paths))}")
    with paths[name].open(encoding="utf-8") as file:
        content = yaml.safe_load(file)  # from a file, whose name errors have
    try:
        table = SCHEMA.validate_python(content.get("table") if isinstance(content, dict) else None)
    except ValidationError as error:
        raise UserError(f"{paths[name]}: {_first(error)}") from error
    table = {"name": name, "base": {}, "seeds": [FIRST_SEED]} | table
    if reason := _contradiction(table):
        raise UserError(f"{paths[name]}: {reason}")
    return table


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, ["table", *first["loc"]]))
    if first["type"] in ("missing", "too_short"):
        return f"a table needs caption, columns and rows; {key} is missing"
    if first["type"] == "extra_forbidden":
        return f"{key} is not a key of a table; leave it out, or give one of {', '.join(Table.__annotations__)}"
    return f"{key}={shown(first['input'])}: {first['msg']}"


def _contradiction(table: dict[str, Any]) -> str | None:
    """What is wrong with a table whose keys and types are right."""
    for number, row in enumerate(table["rows"], start=1):
        if missing := {"model", "method"} - set(table["base"] | row):
            key = min(missing)
            return f"row {number} has no {key}; give {key}: in the row or in table.base"
        if "paper" in row and not (RESULTS / "paper" / f"{table['name']}.csv").is_file():
            return f"row {number}: paper: names a row of a printed table, and {table['name']} is none; leave it out"
    if twice := [task for task in table["columns"] if table["columns"].count(task) > 1]:
        return f"table.columns has {twice[0]} twice; leave one out"
    for settings in [table["base"], *table["rows"]]:
        for task in set(settings.get(BY_TASK, {})) - set(table["columns"]):
            return f"{BY_TASK}.{task}: the table has no column {task}"
    return None
