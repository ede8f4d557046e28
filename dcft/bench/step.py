"""One training step of every method, side by side."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings of `scripts/bench.py step`."""
    parser.add_argument("--model", default="deberta-v3-base", help="whose shapes")


def main(arguments: argparse.Namespace) -> None:
    """Measure, write and print."""
    print(arguments)
