"""One training step of every method, side by side: `scripts/bench step`.

For each backbone and length: all rows of a training step, all rows of an evaluation, and one linear layer of each size
with each adapter. Rounds interleave the rows, and a ratio is to the floor of the same round.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from bench.command import require_positive
from bench.step import rows, table
from dcft.errors import UserError
from dcft.results import atomic
from dcft.views.tables.grid import Grid

MODELS = ["deberta-v3-base", "roberta-large", "minilm-l6"]
TINY = ["tiny-bert", "tiny-deberta", "tiny-roberta"]  # to try the command
PARTS = ["step", "evaluation", "layer"]
LONGEST = 512  # tokens that each of the backbones has positions for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings of `scripts/bench step`."""
    add = parser.add_argument
    add("--model", nargs="+", default=MODELS, help=f"whose shapes: {', '.join(MODELS)} (all), or a tiny one")
    add("--rows", nargs="+", help=f"which rows: {', '.join(rows.STEP | rows.EVALUATION)}; nothing: all")
    add("--parts", nargs="+", default=PARTS, help=f"what to measure: {', '.join(PARTS)}; nothing: all")
    add("--batch", type=int, default=8, help="rows of a batch")
    add("--length", type=int, nargs="+", default=[128], help="tokens of each row; several: one after the other")
    add(
        "--layers",
        type=int,
        help="layers of the backbone; nothing: all; on a CPU 4 of DeBERTa and 2 of RoBERTa",
    )
    add("--rounds", type=int, default=5, help="how many times each row is timed")
    add("--warmup", type=int, default=1, help="steps of each row before that")
    add("--device", help="cpu or cuda; nothing: cuda where there is one")
    add("--threads", type=int, help="of PyTorch on the CPU; nothing: PyTorch's own choice")
    add("--precision", default="fp32", help="fp32, or bf16: autocast over float32 weights, as training has it")
    add("--attention", default="lean", help="lean, or plain: as Transformers computes it")
    add("--compile", action="store_true", help="torch.compile every row")
    add("--output", type=Path, default=Path("results/bench"), help="folder of the JSON files and their tables")
    add("--show", type=Path, nargs="+", metavar="FILE", help="print the tables of JSON files and measure nothing")
    add("--against", metavar="ROW", help="with --show: the row that ratios are to; nothing: the floor")


def check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be measured.

    Raises:
        UserError: with one line that says what to give.
    """
    choices = {
        "model": (arguments.model, MODELS + TINY),
        "parts": (arguments.parts, PARTS),
        "device": ([arguments.device], ["cpu", "cuda", None]),
        "precision": ([arguments.precision], ["fp32", "bf16"]),
        "attention": ([arguments.attention], ["lean", "plain"]),
    }
    for option, (values, known) in choices.items():
        for value in values:
            if value not in known:
                raise UserError(f"--{option} {value}: give {', '.join(filter(None, known))}")
    if arguments.against and not arguments.show:
        raise UserError(f"--against {arguments.against}: give --show FILE as well")
    require_positive(arguments, "batch", "layers", "rounds", "warmup", "threads")
    for length in arguments.length:
        if not 1 <= length <= LONGEST:
            raise UserError(f"--length {length}: give 1 to {LONGEST} tokens")


def main(arguments: argparse.Namespace) -> None:
    """Measure, write and print; or print what was measured.

    Raises:
        UserError: for settings that cannot be measured, or a file that is none of ours.
        RunFailed: if a row does not do what it says.
    """
    check(arguments)
    if arguments.show:
        for path in arguments.show:
            show(path, arguments.against)
        return
    step, evaluation = rows.choose(arguments.rows)
    if not ((step and set(arguments.parts) & {"step", "layer"}) or (evaluation and "evaluation" in arguments.parts)):
        raise UserError(f"--parts {' '.join(arguments.parts)}: none has a row of --rows {' '.join(arguments.rows)}")
    from bench.step.measure import Measurement  # loads torch

    for model in arguments.model:
        for length in arguments.length:
            result = Measurement(model, length, arguments).run(step, evaluation, arguments.parts)
            path = arguments.output / f"{name(result)}.json"
            atomic.write(path, json.dumps(result, indent=1) + "\n")
            grids = show(path)
            atomic.write(path.with_suffix(".md"), table.markdown(grids))
            print(path)


def name(result: dict[str, Any]) -> str:
    """Of the files: what was measured, and every setting that changes the numbers."""
    s = result["settings"]
    parts = ["step", s["model"], f"l{s['layers']}", f"b{s['batch']}x{s['length']}", s["device"], s["precision"]]
    parts += [s["attention"]] if s["attention"] != "lean" else []
    parts += ["compile"] if s["compile"] else []
    parts += [] if s["complete"] else ["some"]
    return "-".join(parts)


def show(path: Path, against: str | None = None) -> list[Grid]:
    """Print the tables of a JSON file.

    Args:
        path: what was written.
        against: the row that ratios are to; None: the floor.

    Raises:
        UserError: if there is no such file or row, or the file is not of this measurement.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        names = [row["name"] for part in result["parts"] for row in part["rows"]]
        grids = table.grids(result, against)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no result of scripts/bench step ({type(error).__name__}: {error})") from error
    if against and against not in names:
        raise UserError(f"--against {against}: {path} has no such row; give one of {', '.join(dict.fromkeys(names))}")
    table.show(grids)
    return grids
