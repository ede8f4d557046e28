"""bf16 against fp32: real cells on the same data with the same seeds, their scores and times side by side.

A task's scores hold if the means over seeds differ by no more than those of two sets of fp32 seeds would by chance: by
two standard errors of such a difference, `2 s sqrt(2 / n)` with s the standard deviation of fp32 between n seeds, or by
one row of the dev set, if that is more. Where bf16 changes nothing, one task in twenty fails all the same.
"""

import argparse
import math
import sys
from pathlib import Path
from statistics import median
from typing import Any

from bench import command
from bench.report import publish
from dcft.errors import UserError
from dcft.results import records
from dcft.results.statistics import summary

TOY, REAL = ["toy_pair", "toy_sim"], ["rte", "mrpc", "sst2"]
FIRST_SEED = 6  # the official scripts'
PRECISIONS = ("fp32", "bf16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings of this measurement."""
    add = parser.add_argument
    add("--tasks", nargs="+", help=f"nothing: {', '.join(TOY)}, and with --data {', '.join(REAL)} too")
    add("--data", type=Path, help="folder with the official files, as data.root=")
    add("--model", default="minilm-l6", help="the backbone of all cells")
    add("--method", nargs="+", default=["method=dcft", "kernel=8"], metavar="SETTING", help="the method, its knobs")
    add("--steps", type=int, default=200, help="of training; then a cell evaluates once")
    add("--seeds", type=int, default=5, help=f"how many, from {FIRST_SEED} on")
    add("--runs", type=Path, default=Path("outputs/bench/precision"), help="records of cells; those there stay")
    add("--output", type=Path, default=Path("results/bench"), help="where precision.json and precision.md go")


def main(arguments: argparse.Namespace) -> None:
    """Run what has no record yet, write `precision.json` and `precision.md`, print the table.

    Raises:
        UserError: if the numbers make no sense, or a cell ends without a score.
    """
    if arguments.seeds < 2 or arguments.steps < 1:
        raise UserError("--seeds, --steps: give at least 2 seeds, whose spread is what noise means, and 1 step")
    tasks = arguments.tasks or TOY + (REAL if arguments.data else [])
    runs = []
    for task in tasks:
        for seed in range(FIRST_SEED, FIRST_SEED + arguments.seeds):
            pair = PRECISIONS[:: 1 if seed % 2 else -1]  # neither is always the first
            runs += [_run(task, seed, precision, arguments) for precision in pair]
    hardware = runs[0].pop("hardware")
    report = {
        "settings": {name: getattr(arguments, name) for name in ("model", "method", "steps", "seeds")},
        "runs": [{key: value for key, value in run.items() if key != "hardware"} for run in runs],
        "hardware": hardware,
    }
    publish(arguments.output, "precision", report, show)


def _run(task: str, seed: int, precision: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One cell by `python run.py`: its score, the dev set's size, seconds of training and of its evaluation."""
    settings = [f"task={task}", f"model={arguments.model}", *arguments.method, f"seed={seed}", f"precision={precision}"]
    settings += [f"train.max_steps={arguments.steps}", f"eval.every={arguments.steps}", f"results.dir={arguments.runs}"]
    settings += [f"outputs.dir={arguments.runs}/outputs", *([f"data.root={arguments.data}"] if arguments.data else [])]
    print(f"{task}, seed {seed}, {precision}", file=sys.stderr, flush=True)
    status, last = command.run(settings)
    if status:
        raise UserError(f"task={task} seed={seed} precision={precision} has no score: {last}")
    record = records.read(Path(last))
    return {
        "task": task,
        "seed": seed,
        "precision": precision,
        "score": record["score"],
        "dev_rows": sum(n for split, n in record["data_source"]["rows"].items() if split != "train"),
        "toy": record["toy"],
        "substitute_backbone": record["substitute_backbone"],
        "train_s": record["time"]["train_s"],
        "eval_s": record["time"]["eval_s"],
        "peak_memory_mb": record["peak_memory_mb"],
        "hardware": record["hardware"],
    }


def verdict(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """What a task's cells say.

    Args:
        runs: of one task, as `precision.json` has them; each seed with both precisions.

    Returns:
        `fp32`, `bf16` (summaries of the scores), `difference` of their means, the `noise` it is held against, whether
        it `holds`, and the median ratios bf16 / fp32 of seconds of the same seed, `train` and `eval`.
    """
    by_seed = [{run["precision"]: run for run in runs if run["seed"] == seed} for seed in {r["seed"] for r in runs}]
    fp32, bf16 = (summary([pair[precision]["score"] for pair in by_seed]) for precision in PRECISIONS)
    noise = max(2 * fp32.std * math.sqrt(2 / fp32.n), 100 / runs[0]["dev_rows"])
    difference = bf16.mean - fp32.mean
    ratios = {
        part: median(pair["bf16"][f"{part}_s"] / pair["fp32"][f"{part}_s"] for pair in by_seed)
        for part in ("train", "eval")
    }
    found = {"fp32": fp32, "bf16": bf16, "difference": difference, "noise": noise, "holds": abs(difference) <= noise}
    return found | ratios


def show(report: dict[str, Any]) -> str:
    """The report as Markdown: a line for each task."""
    settings, hardware, runs = report["settings"], report["hardware"], report["runs"]
    tasks = dict.fromkeys(run["task"] for run in runs)
    verdicts = {task: verdict([run for run in runs if run["task"] == task]) for task in tasks}
    labels = ["Toy tasks are generated."] if any(run["toy"] for run in runs) else []
    labels += ["The backbone is a substitute, not one of the paper's."] if runs[0]["substitute_backbone"] else []
    lines = [
        f"bf16 (autocast over float32 weights) against fp32: {settings['model']}, {' '.join(settings['method'])}, "
        f"{settings['steps']} steps, seeds {FIRST_SEED} to {FIRST_SEED + settings['seeds'] - 1}, "
        f"on {hardware['gpu'] or hardware['cpu']}, {hardware['threads']} threads. {' '.join(labels)}".rstrip(),
        "Scores in percent: mean and standard deviation over seeds. Noise: two standard errors of a difference between "
        "the means of two sets of as many fp32 seeds, or one row of the dev set, if that is more. Training and "
        "evaluation: seconds, bf16 / fp32, the median over seeds.",
        "",
        "| task | fp32 | bf16 | difference | noise | holds | training | evaluation |",
        "|---|---:|---:|---:|---:|---|---:|---:|",
    ]
    for task, found in verdicts.items():
        scores = [f"{found[precision].mean:.2f} ± {found[precision].std:.2f}" for precision in PRECISIONS]
        lines.append(
            f"| {task} | {scores[0]} | {scores[1]} | {found['difference']:+.2f} | {found['noise']:.2f} "
            f"| {'yes' if found['holds'] else 'no'} | {found['train']:.2f}x | {found['eval']:.2f}x |"
        )
    return "\n".join(lines) + "\n"
