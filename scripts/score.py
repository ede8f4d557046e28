"""Score the model of a finished cell on dev again, and compare with the record.

python scripts/score.py CELL    # status 0: every metric is the record's, to the last bit; 1: one differs
"""

import argparse
from pathlib import Path

from dcft.cli import command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cell", help="name, record or folder with the model")
    parser.add_argument("--data-root", help="folder with the official files; nothing: that of the record")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the records")
    arguments = parser.parse_args()
    from dcft.inference import score, trained  # load torch
    from dcft.training.quiet import quieten

    quieten()
    source = trained.find(arguments.cell, arguments.results, arguments.data_root)
    differ = False
    for name, (recorded, now) in score.compare(source).items():
        differ |= recorded != now
        verdict = "the same" if recorded == now else "differs"
        print(f"{name:<28} record {_shown(recorded)}  now {_shown(now)}  {verdict}")
    if differ:
        raise SystemExit(1)


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    command(main)
