"""Check the paper's printed figures against each other and against the formulas; trains nothing.

python scripts/audit.py [--paper results/paper] [--out results/audit]
"""

import argparse
from pathlib import Path

from dcft.cli import command
from dcft.paper import audit
from dcft.paper.printed import PAPER
from dcft.views import audit as report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paper", type=Path, default=PAPER, help="folder of the published tables")
    parser.add_argument("--out", type=Path, default=report.RESULTS, help="folder for the reports")
    arguments = parser.parse_args()
    result = audit.run(arguments.paper)
    paths = report.write(result, arguments.out)
    report.show(result)
    for path in paths:
        print(path)


if __name__ == "__main__":
    command(main)
