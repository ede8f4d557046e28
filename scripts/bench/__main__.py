"""Measure how fast the suite is.

python scripts/bench step --model deberta-v3-base    # one training step of every method, side by side
python scripts/bench step --help                     # the settings of a measurement
"""

import sys
from pathlib import Path

from dcft.cli import command

sys.path[0] = str(Path(__file__).parents[1])  # scripts/ instead of scripts/bench/: this folder is the package `bench`

from bench.command import main  # noqa: E402

if __name__ == "__main__":
    command(main)
