"""The command line `python scripts/bench MEASUREMENT --OPTION VALUE ...`.

A measurement is a module with two functions: `add_arguments(parser)` declares its options, `main(arguments)` measures.
Both import torch and transformers inside the function, so that a wrong option is refused at once.
"""

import argparse
import importlib
import sys
from pathlib import Path
from typing import NoReturn

from dcft.errors import UserError

MEASUREMENTS = {  # name: (module, description)
    "step": ("bench.step", "one training step (forward, backward, optimiser) of every method, side by side"),
    "variants": ("bench.variants", "ways to compute the update of one layer: the suite's, and those it rejected"),
    "recipe": ("bench.recipe", "training speed on RTE against Hugging Face's example recipe"),
    "tokens": ("bench.tokens", "padding of every task, and the time to build a batch"),
    "options": ("bench.options", "attention=flash, compile=true and precision=bf16 on the same training step"),
    "peak": ("bench.peak", "rate of a large matrix product"),
    "precision": ("bench.precision", "scores and times of bf16 against those of fp32"),
    "sweep": ("bench.sweep", "cells per hour of a sweep, by the number of cells that run at once"),
    "replicas": ("bench.replicas", "several seeds trained at once on one frozen backbone, against one after another"),
    "start": ("bench.start", "start-up time of commands"),
    "gpu": ("bench.gpu", "all of the above that one GPU decides, in parts of minutes, and what to switch on"),
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as those of the suite's other commands are."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message.removeprefix('argument ')}; see {self.prog} --help")


def positive(text: str) -> int:
    """The type of an option that takes a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return int(text)


def parse(given: list[str]) -> argparse.Namespace:
    """Read a command line.

    Args:
        given: the words after `python scripts/bench`.

    Raises:
        UserError: for an unknown measurement or option, or a wrong value.
    """
    parser = Parser(prog="python scripts/bench", description="Measure how fast the suite is.")
    measurements = parser.add_subparsers(dest="measurement", required=True, metavar="MEASUREMENT")
    for name, (module, description) in MEASUREMENTS.items():
        subparser = measurements.add_parser(name, help=description, description=description)
        if name in given[:1]:  # the other modules are not imported
            importlib.import_module(module).add_arguments(subparser)
            subparser.add_argument(
                "--output", type=Path, default=Path("results/bench"), help="folder of the JSON file and its page"
            )
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> None:
    """Run a measurement; `given` is as in `parse`, by default the words of this process's command line."""
    arguments = parse(sys.argv[1:] if given is None else given)
    importlib.import_module(MEASUREMENTS[arguments.measurement][0]).main(arguments)
