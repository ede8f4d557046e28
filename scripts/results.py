"""Write the results page and its figure from records: claims, what runs say of them, and verdicts; runs nothing.

python scripts/results.py [--model minilm-l6] [--results results] [--output docs/results.md]

`make results DATA=PATH` runs the tables first.
"""

import argparse
from pathlib import Path

from dcft.cli import command
from dcft.results import atomic
from dcft.views import claims, figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=claims.SUBSTITUTE, help="the backbone: a name of conf/model")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of sweeps and records")
    parser.add_argument("--output", type=Path, help="the page; default: docs/results.md, or docs/results-MODEL.md")
    arguments = parser.parse_args()
    name = "results" if arguments.model == claims.SUBSTITUTE else f"results-{arguments.model}"
    output = arguments.output or Path("docs") / f"{name}.md"
    found = claims.find(arguments.results, arguments.model)
    atomic.write(output, claims.page(found))
    for path in [output, *figures.write(claims.pictures(found), arguments.results)]:
        print(path)


if __name__ == "__main__":
    command(main)
