"""The command line of `scripts/bench step`, on a tiny backbone."""

import argparse

import pytest
from bench import step


@pytest.fixture(scope="session")
def arguments():
    def parse(*given: str) -> argparse.Namespace:
        parser = argparse.ArgumentParser()
        step.add_arguments(parser)
        small = ["--model", "tiny-deberta", "--batch", "2", "--length", "12", "--layers", "1", "--rounds", "2"]
        return parser.parse_args([*small, *given])

    return parse
