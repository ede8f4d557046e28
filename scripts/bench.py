"""Measure how fast the suite is; numbers and tables go to results/bench.

python scripts/bench.py step --model deberta-v3-base    # one training step of every method, side by side
python scripts/bench.py step --help                     # the settings of a measurement
"""

import argparse
import importlib
import sys

from dcft.errors import command

MEASUREMENTS = {  # name -> its module, with add_arguments(parser) and main(arguments), and what it measures
    "step": ("dcft.bench.step", "one training step (forward, backward, optimiser) of every method, side by side"),
    "variants": ("dcft.bench.variants", "ways to compute the update of one layer: what is used, what was tried"),
    "recipe": ("dcft.bench.recipe", "training speed on RTE against Hugging Face's example recipe"),
    "tokens": ("dcft.bench.tokens", "what padding costs on every task, and how long a batch takes to be made"),
    "precision": ("dcft.bench.precision", "scores and times of bf16 beside those of fp32"),
    "sweep": ("dcft.bench.sweep", "cells per hour of a sweep, by how many run at once"),
    "start": ("dcft.bench.start", "how long commands take to begin"),
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
