"""Render tables from what there is: sweeps, records and the paper's figures; runs nothing.

python scripts/tables.py                                  # every table there is something for
python scripts/tables.py table4 --view compare --protocol half
"""

import argparse
import sys
from pathlib import Path

from dcft import sweep, tables
from dcft.errors import UserError
from dcft.protocols import PROTOCOLS
from dcft.tables.printed import CAPTIONS
from dcft.tables.setup import SETUP


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "name", nargs="?", help="a sweep of results/sweeps, or table1 ... table10; nothing: all of them"
    )
    parser.add_argument("--view", choices=tables.VIEWS, help="default: all views that there is something for")
    parser.add_argument("--protocol", choices=list(PROTOCOLS), default="best", help="which evaluation counts")
    parser.add_argument("--baseline", help="compare with this row: its title, or a method such as lora")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of sweeps, records and tables")
    parser.add_argument("--data-root", type=Path, help="count the rows of the official files there (Tables 7 and 8)")
    return parser.parse_args()


def grids(arguments: argparse.Namespace, name: str):
    """The views of one table, or the one that was asked for."""
    view = arguments.view
    path = sweep.path_of(name, arguments.results)
    if path.is_file():
        planned = sweep.read(path)
        if view is None and name in CAPTIONS:
            yield tables.published(name)
        if planned.records(arguments.results) or view or arguments.name:
            several = ["statistics"] if len(planned.seeds) > 1 else []
            for one in [view] if view else ["ours", "compare", *several]:
                yield tables.build(planned, arguments.results, one, arguments.protocol, arguments.baseline)
    elif name in SETUP:
        for one in [view] if view else tables.SETUP_VIEWS:
            yield tables.setup(name, one, arguments.data_root)
    elif name in CAPTIONS and view in (None, "published"):
        yield tables.published(name)
    else:
        known = [path.stem for path in sorted((arguments.results / "sweeps").glob("*.json"))]
        if name in CAPTIONS:
            raise UserError(f"{path} does not exist; python run.py table={name} dry=true plans it")
        raise UserError(f"{name}: there is no such table; give one of {', '.join([*CAPTIONS, *known])}")


def main() -> None:
    arguments = parse()
    if arguments.name:
        names = [arguments.name]
    else:
        sweeps = [path.stem for path in sorted((arguments.results / "sweeps").glob("*.json"))]
        names = list(CAPTIONS) + [name for name in sweeps if name not in CAPTIONS]
    for name in names:
        for grid in grids(arguments, name):
            if arguments.name:
                tables.show(grid)
            for path in tables.write(grid, arguments.results):
                print(path)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
