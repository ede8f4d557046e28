"""Write results/report.html, one page with all tables, figures, findings and records; runs nothing.

python scripts/report.py [--results results]
"""

import argparse
from pathlib import Path

from dcft.cli import command
from dcft.views import report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder with sweeps and runs")
    print(report.write(parser.parse_args().results))


if __name__ == "__main__":
    command(main)
