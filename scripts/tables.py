"""Render tables from what there is: sweeps, records and the paper's figures; runs nothing.

python scripts/tables.py                                          # every table that there is something for
python scripts/tables.py table4 --view compare --protocol half    # one, on the terminal as well
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dcft.cli import command
from dcft.config.build import build
from dcft.config.compose import Composer
from dcft.data import row_counts
from dcft.errors import UserError
from dcft.paper.printed import GLUE, SQUAD, TASKS
from dcft.results.protocols import PROTOCOLS
from dcft.results.sweeps import path_of, read
from dcft.views import tables

SIZES = {"table7": GLUE, "table8": SQUAD}  # tables of the data sets' sizes


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", help="table1 ... table10, or a sweep of results/sweeps; nothing: all")
    parser.add_argument("--view", help=f"{', '.join(tables.VIEWS)}; nothing: all that the table has")
    parser.add_argument("--protocol", default="best", help=f"which evaluation counts: {', '.join(PROTOCOLS)}")
    parser.add_argument("--baseline", help="compare with this row: its title, or a method such as lora")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of sweeps, records and tables")
    parser.add_argument("--data-root", type=Path, help="count the rows of the official files there (Tables 7 and 8)")
    return parser.parse_args()


def views(name: str, arguments: argparse.Namespace) -> dict[str, Callable[[], tables.Grid]]:
    """The views that a table has; a sweep without records has some only if it was asked for by name."""
    if name in tables.SETUP:
        rows = count_rows(name, arguments.data_root) if arguments.data_root and name in SIZES else None
        return {view: partial(tables.setup, name, view, rows) for view in tables.SETUP_VIEWS}
    builders = {"published": partial(tables.published_grid, name)} if name in tables.PUBLISHED else {}
    path = path_of(name, arguments.results)
    if path.is_file():
        planned = read(path)
        if arguments.name or any(planned.by_name(arguments.results)):
            baseline = arguments.baseline
            if baseline and not arguments.name and not tables.has_row(planned, baseline):
                baseline = None  # of all tables, those that have the row are compared with it
            settings = (arguments.protocol, baseline)
            one = arguments.name and arguments.view
            for view in [arguments.view] if one else tables.views(planned, arguments.results):
                builders[view] = partial(tables.build, planned, arguments.results, view, *settings)
    return builders


def count_rows(name: str, root: Path) -> dict[str, dict[str, int]]:
    """Rows of the official files of Table 7 or 8, by task and split."""
    compose = Composer()
    tasks = [build(compose([f"task={TASKS[heading]}"])).task for heading in SIZES[name]]
    found = {task.name: row_counts.count(task, root) for task in tasks}
    if not any(found.values()):
        raise UserError(f"--data-root {root} has no official file of {name}; give the folder with glue and squad")
    return found


def check(arguments: argparse.Namespace, sweeps: list[str]) -> None:
    """Refuse what names nothing.

    Raises:
        UserError: with one line that says what there is.
    """
    known = {
        "view": (arguments.view, tables.VIEWS),
        "protocol": (arguments.protocol, PROTOCOLS),
        "table": (arguments.name, list(dict.fromkeys([*tables.PUBLISHED, *sweeps]))),
    }
    for kind, (value, names) in known.items():
        if value is not None and value not in names:
            raise UserError(f"{value}: there is no such {kind}; give one of {', '.join(names)}")
    if arguments.baseline and not arguments.name:
        planned = (read(path_of(name, arguments.results)) for name in sweeps)
        if not any(tables.has_row(sweep, arguments.baseline) for sweep in planned):
            raise UserError(f"baseline={arguments.baseline} is no row of any sweep in {arguments.results / 'sweeps'}")


def main() -> None:
    arguments = parse()
    sweeps = [path.stem for path in sorted((arguments.results / "sweeps").glob("*.json"))]
    check(arguments, sweeps)
    for name in [arguments.name] if arguments.name else dict.fromkeys([*tables.PUBLISHED, *sweeps]):
        builders = views(name, arguments)
        if arguments.name and arguments.view and arguments.view not in builders:
            plan = f"; its cells are not planned: python run.py table={name} dry=true" if len(builders) == 1 else ""
            raise UserError(f"{name} has no view {arguments.view}, only {', '.join(builders)}{plan}")
        grids = [build() for view, build in builders.items() if arguments.view in (None, view)]
        for grid in grids:
            if arguments.name:
                tables.show(grid)
            for path in tables.write(grid, arguments.results):
                print(path)


if __name__ == "__main__":
    command(main)
