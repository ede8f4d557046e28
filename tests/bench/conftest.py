"""Command lines of the measurements, and official files to measure."""

import argparse
import json
from pathlib import Path

import pytest

from bench import command


@pytest.fixture(scope="session")
def arguments():
    """Read options of `scripts/bench step`, on a tiny backbone."""

    def parse(*given: str) -> argparse.Namespace:
        small = ["--model", "tiny-deberta", "--batch", "2", "--length", "12", "--layers", "1", "--rounds", "2"]
        return command.parse(["step", *small, *given])

    return parse


@pytest.fixture
def measure(tmp_path):
    """Run a measurement; returns its report and its page."""

    def run(name: str, *options: str | int | Path) -> tuple[dict, str]:
        command.main([name, *map(str, options), "--output", str(tmp_path / "output")])
        path = tmp_path / "output" / f"{name}.json"
        return json.loads(path.read_text()), path.with_suffix(".md").read_text()

    return run


@pytest.fixture
def rte(tmp_path):
    """Write official files of RTE whose texts have 1 to 40 words, in no order; returns their folder."""

    def write(**rows: int) -> Path:
        root = tmp_path / "data"
        for split, n in rows.items():
            lines = [f"{i}\t{'lamp ' * (i * 7 % 40)}red\tblue\tentailment" for i in range(n)]
            path = root / "glue" / "RTE" / f"{split}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(["index\tsentence1\tsentence2\tlabel", *lines]) + "\n")
        return root

    return write
