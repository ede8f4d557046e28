"""A submission to gluebenchmark.com from the best cells of a method, and SQuAD's answers in the official form.

python scripts/submission.py dcft-k8 --model minilm-l6 --output results/submission    # glue.zip, squad_v1.json, ...
"""

import argparse
from pathlib import Path

from dcft.cli import command
from dcft.errors import UserError
from dcft.results.protocols import PROTOCOLS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", help="name or tag of a method: dcft, dcft-k8, lora-r8")
    parser.add_argument("--model", help="backbone; nothing: the only one that has cells")
    parser.add_argument("--protocol", default="best", help=f"which score chooses among cells: {', '.join(PROTOCOLS)}")
    parser.add_argument("--fill", action="store_true", help="answer tasks without a cell by a constant")
    parser.add_argument("--output", type=Path, default=Path("results/submission"), help="folder")
    parser.add_argument("--data-root", help="folder with the official files; nothing: that of each record")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the records")
    arguments = parser.parse_args()
    if arguments.protocol not in PROTOCOLS:
        raise UserError(f"protocol={arguments.protocol}: give one of {', '.join(PROTOCOLS)}")
    from dcft.inference import submission  # loads torch
    from dcft.results import atomic
    from dcft.training.quiet import quieten

    quieten()
    results = arguments.results
    chosen = submission.choose(results, arguments.method, arguments.model, arguments.protocol)
    for path in submission.squad(chosen, results, arguments.protocol, arguments.output):
        print(path)
    if any(task in chosen for task in submission.TASKS):
        archive, said = submission.glue(chosen, results, arguments.data_root, arguments.fill)
        atomic.write(arguments.output / "glue.zip", archive)
        print(*said, arguments.output / "glue.zip", sep="\n")


if __name__ == "__main__":
    command(main)
