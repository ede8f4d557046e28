"""Save the project's W&B workspace and report, or write them as JSON where there is no W&B login.

python scripts/dashboard.py [--project dcft] [--entity TEAM] [--results results]
"""

import argparse
from pathlib import Path

from dcft.cli import command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--project", default="dcft", help="W&B project of the runs (tracker.project)")
    parser.add_argument("--entity", help="W&B team (tracker.entity); the login's default one if not given")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of records and sweeps")
    arguments = parser.parse_args()
    from dcft.tracking import dashboard  # needs the package wandb-workspaces

    for line in dashboard.publish(arguments.project, arguments.entity, arguments.results):
        print(line)


if __name__ == "__main__":
    command(main)
