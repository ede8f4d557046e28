"""Measure how fast the suite is; numbers and tables go to results/bench.

python scripts/bench step --model deberta-v3-base    # one training step of every method, side by side
python scripts/bench step --help                     # the settings of a measurement
"""

import argparse
import importlib
import sys
from pathlib import Path

from dcft.cli import command

sys.path[0] = str(Path(__file__).parents[1])  # scripts: this folder is the package `bench` there

MEASUREMENTS = {  # name -> its module, with add_arguments(parser) and main(arguments), and what it measures
    "step": ("bench.step", "one training step (forward, backward, optimiser) of every method, side by side"),
    "variants": ("bench.variants", "ways to compute the update of one layer: what is used, what was tried"),
    "recipe": ("bench.recipe", "training speed on RTE against Hugging Face's example recipe"),
    "tokens": ("bench.tokens", "what padding costs on every task, and how long a batch takes to be made"),
    "precision": ("bench.precision", "scores and times of bf16 beside those of fp32"),
    "sweep": ("bench.sweep", "cells per hour of a sweep, by how many run at once"),
    "start": ("bench.start", "how long commands take to begin"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    measurements = parser.add_subparsers(dest="measurement", required=True, metavar="MEASUREMENT")
    for name, (module, about) in MEASUREMENTS.items():
        settings = measurements.add_parser(name, help=about, description=about)
        if name in sys.argv[1:2]:  # only the module that is asked for is imported
            importlib.import_module(module).add_arguments(settings)
    arguments = parser.parse_args()
    importlib.import_module(MEASUREMENTS[arguments.measurement][0]).main(arguments)


if __name__ == "__main__":
    command(main)
