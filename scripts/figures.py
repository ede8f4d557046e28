"""Draw the figures of all sweeps with records, and those of the paper's numbers alone; runs nothing.

python scripts/figures.py [SWEEP ...] [--results results] [--cost flops]
"""

import argparse
from pathlib import Path

from dcft.cli import command
from dcft.errors import UserError
from dcft.results.sweeps import read_all
from dcft.views import figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sweeps", nargs="*", metavar="SWEEP", help="names in results/sweeps; default: all of them")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder with sweeps and runs")
    parser.add_argument("--cost", default="params", choices=figures.AXES, help="what pareto draws scores against")
    arguments = parser.parse_args()
    cells = figures.paper_cells()
    sweeps = read_all(arguments.results)
    for name in arguments.sweeps:
        if name not in (names := [sweep.name for sweep in sweeps]):
            known = f"give one of {', '.join(names)}" if names else "it has none yet"
            raise UserError(f"{name}: {arguments.results / 'sweeps'} has no such sweep; {known}")
    pictures = [] if arguments.sweeps else figures.of_paper(cells)
    for sweep in sweeps:
        if not arguments.sweeps or sweep.name in arguments.sweeps:
            pictures += figures.of_sweep(sweep, arguments.results, cells, arguments.cost)
    for path in figures.write(pictures, arguments.results):
        print(path)


if __name__ == "__main__":
    command(main)
