"""Check the paper's printed figures against each other and against the formulas; trains nothing.

python scripts/audit.py [--paper results/paper] [--out results/audit]
"""

import argparse
from pathlib import Path

from dcft.cli import command
from dcft.paper import audit
from dcft.paper.printed import PAPER
from dcft.views.audit import RESULTS, show, write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paper", type=Path, default=PAPER, help="folder of the published tables")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the reports")
    arguments = parser.parse_args()
    result = audit.run(arguments.paper)
    paths = write(result, arguments.out)
    show(result)
    for path in paths:
        print(path)


if __name__ == "__main__":
    command(main)
