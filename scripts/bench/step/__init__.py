"""One training step of every method, side by side.

Each backbone and sequence length has up to three parts: a training step, a forward pass of evaluation, and one linear
layer of each size with each adapter. Rounds interleave the rows of a part; ratios are within a round.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from bench.command import positive
from bench.output import publish, render
from bench.step.page import page
from bench.step.rows import EVALUATION, PARTS, STEP, choose
from dcft.errors import UserError

MODELS = ["deberta-v3-base", "roberta-large", "minilm-l6"]
LARGE = ["deberta-v2-xxlarge"]  # for a GPU
TINY = ["tiny-bert", "tiny-deberta", "tiny-roberta"]  # to try the command
LONGEST = 512  # tokens; each backbone has that many positions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    models = f"backbones whose shapes are measured; default: {', '.join(MODELS)}; also {', '.join(LARGE + TINY)}"
    add("--model", nargs="+", default=MODELS, choices=MODELS + LARGE + TINY, metavar="MODEL", help=models)
    names = [*STEP, *EVALUATION]
    add("--rows", nargs="+", choices=names, metavar="ROW", help=f"default: all of {', '.join(names)}")
    add("--parts", nargs="+", default=[*PARTS], choices=PARTS, metavar="PART", help=f"default: {', '.join(PARTS)}")
    add("--batch", type=positive, default=8, help="sequences in a batch")
    add("--length", type=positive, nargs="+", default=[128], help="tokens of each sequence; several: one after another")
    layers = "layers of the backbone; default on a CPU: 4 of DeBERTa, 2 of RoBERTa; else all"
    add("--layers", type=positive, help=layers)
    add("--rounds", type=positive, default=5, help="number of times that each row is timed")
    add("--warmup", type=positive, default=1, help="number of steps of each row before it is timed")
    add("--device", choices=["cpu", "cuda"], help="default: cuda if there is a GPU")
    add("--threads", type=positive, help="PyTorch's threads on the CPU; default: PyTorch's choice")
    add("--precision", default="fp32", choices=["fp32", "bf16"], help="bf16: autocast over float32 weights")
    add("--attention", default="lean", choices=["lean", "plain"], help="plain: that of Transformers")
    add("--dropout", default="fast", choices=["fast", "torch"], help="torch: that of PyTorch")
    add("--compile", action="store_true", help="compile every row by torch.compile")
    add("--show", type=Path, nargs="+", metavar="FILE", help="print the tables of JSON files and measure nothing")
    add("--against", metavar="ROW", help="with --show: the row that ratios are to; default: the floor")


def main(arguments: argparse.Namespace) -> None:
    """Measure and publish; with `--show`, print tables of earlier measurements.

    Raises:
        UserError: for settings that cannot be measured, or a file that is no result of this measurement.
        RunFailed: if a row fails a check.
    """
    if arguments.show:
        for path in arguments.show:
            show(path, arguments.against)
        return
    if arguments.against:
        raise UserError(f"--against {arguments.against}: give --show FILE as well")
    if max(arguments.length) > LONGEST:
        raise UserError(f"--length {max(arguments.length)}: give 1 to {LONGEST} tokens")
    step, evaluation = choose(arguments.rows)
    if not ((step and {"step", "layer"} & {*arguments.parts}) or (evaluation and "evaluation" in arguments.parts)):
        raise UserError(f"--parts {' '.join(arguments.parts)}: none has a row of --rows {' '.join(arguments.rows)}")
    from bench.step.measure import Measurement  # loads torch

    for model in arguments.model:
        for length in arguments.length:
            report = Measurement(model, length, arguments).run(step, evaluation, arguments.parts)
            publish(arguments.output, file_name(report), report, page)


def file_name(report: dict[str, Any]) -> str:
    """Name of the files without suffix: the settings that change the numbers."""
    s = report["settings"]
    parts = ["step", s["model"], f"l{s['layers']}", f"b{s['batch']}x{s['length']}", s["device"], s["precision"]]
    parts += [s["attention"]] if s["attention"] != "lean" else []
    parts += ["torch-dropout"] if s["dropout"] != "fast" else []
    parts += ["compile"] if s["compile"] else []
    parts += [] if s["complete"] else ["some"]
    return "-".join(parts)


def show(path: Path, against: str | None = None) -> None:
    """Print the tables of a JSON file.

    Args:
        path: a result of this measurement.
        against: name of the row that ratios are to; None: the floor.

    Raises:
        UserError: if there is no such file or row, or the file is another one.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        names = [row["name"] for part in report["parts"] for row in part["rows"]]
        text = render(report, lambda report: page(report, against))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no result of scripts/bench step ({type(error).__name__}: {error})") from error
    if against and against not in names:
        raise UserError(f"--against {against}: {path} has no such row; give one of {', '.join(dict.fromkeys(names))}")
    print(text, end="")
