"""bf16 against fp32: the same cells with the same seeds, their scores and times side by side.

Scores hold if the means over seeds differ by no more than chance explains: two standard errors of the difference
between two means of n fp32 seeds, `2 s sqrt(2 / n)` with s the standard deviation over the seeds, or one row of the dev
set if that is more. About one task in twenty fails although bf16 changes nothing.
"""

import argparse
import math
import sys
from pathlib import Path
from statistics import median
from typing import Any

from bench import suite
from bench.command import positive
from bench.output import publish, table
from dcft.errors import UserError
from dcft.results import records
from dcft.results.statistics import summary

TOY, REAL = ["toy_pair", "toy_sim"], ["rte", "mrpc", "sst2"]
FIRST_SEED = 6  # as in the official scripts
PRECISIONS = ("fp32", "bf16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--tasks", nargs="+", help=f"default: {', '.join(TOY)}, and with --data also {', '.join(REAL)}")
    add("--data", type=Path, help="folder of the official files, as data.root=")
    add("--model", default="minilm-l6", help="backbone of all cells")
    add("--method", nargs="+", default=["method=dcft", "kernel=8"], metavar="SETTING", help="method and its knobs")
    add("--steps", type=positive, default=200, help="training steps of a cell; it evaluates once, after the last")
    add("--seeds", type=positive, default=5, help=f"number of seeds, counted from {FIRST_SEED}; at least 2")
    add("--runs", type=Path, default=Path("outputs/bench/precision"), help="folder of records; finished cells stay")


def main(arguments: argparse.Namespace) -> None:
    """Run the cells that have no record yet, then publish their scores and times.

    Raises:
        UserError: if there is one seed only, or a cell ends without a score.
    """
    if arguments.seeds < 2:
        raise UserError(f"--seeds {arguments.seeds}: give at least 2, the noise is computed from their spread")
    runs = []
    for task in arguments.tasks or TOY + (REAL if arguments.data else []):
        for seed in range(FIRST_SEED, FIRST_SEED + arguments.seeds):
            order = PRECISIONS if seed % 2 else PRECISIONS[::-1]  # so that a warm machine favours neither
            runs += [_run(task, seed, precision, arguments) for precision in order]
    report = {
        "settings": {name: getattr(arguments, name) for name in ("model", "method", "steps", "seeds")},
        "runs": [{key: value for key, value in run.items() if key != "hardware"} for run in runs],
        "hardware": runs[0]["hardware"],
    }
    publish(arguments.output, "precision", report, page)


def _run(task: str, seed: int, precision: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one cell; returns what the report keeps of its record. Times in s, memory in MB."""
    settings = [f"task={task}", f"model={arguments.model}", *arguments.method, f"seed={seed}", f"precision={precision}"]
    settings += [f"train.max_steps={arguments.steps}", f"eval.every={arguments.steps}", f"results.dir={arguments.runs}"]
    settings += [f"outputs.dir={arguments.runs}/outputs", *([f"data.root={arguments.data}"] if arguments.data else [])]
    print(f"{task}, seed {seed}, {precision}", file=sys.stderr, flush=True)
    record = records.read(Path(suite.run(settings)))
    return {
        "task": task,
        "seed": seed,
        "precision": precision,
        "score": record.score,
        "dev_rows": sum(n for split, n in record.data_source.rows.items() if split != "train"),
        "toy": record.toy,
        "substitute_backbone": record.substitute,
        "train_s": record.time.train_s,
        "eval_s": record.time.eval_s,
        "peak_memory_mb": record.peak_memory_mb,
        "hardware": record.hardware,
    }


def compare(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare the precisions on one task.

    Args:
        runs: of one task, as `precision.json` has them; each seed with both precisions.

    Returns:
        `fp32` and `bf16`: summaries of the scores. `difference` of their means, bf16 - fp32. `noise`: the largest
        difference that `holds`. `train` and `eval`: ratios of times, bf16 / fp32 of the same seed, median over seeds.
    """
    by_seed = [{run["precision"]: run for run in runs if run["seed"] == seed} for seed in {r["seed"] for r in runs}]
    fp32, bf16 = (summary([pair[precision]["score"] for pair in by_seed]) for precision in PRECISIONS)
    noise = max(2 * fp32.std * math.sqrt(2 / fp32.n), 100 / runs[0]["dev_rows"])
    difference = bf16.mean - fp32.mean
    ratios = {
        part: median(pair["bf16"][f"{part}_s"] / pair["fp32"][f"{part}_s"] for pair in by_seed)
        for part in ("train", "eval")
    }
    scores = {"fp32": fp32, "bf16": bf16, "difference": difference, "noise": noise, "holds": abs(difference) <= noise}
    return scores | ratios


def page(report: dict[str, Any]) -> list[str]:
    """The comparisons as Markdown, a line for each task."""
    settings, runs = report["settings"], report["runs"]
    labels = ["Toy tasks are generated."] if any(run["toy"] for run in runs) else []
    labels += ["The backbone is a substitute, not one of the paper's."] if runs[0]["substitute_backbone"] else []
    lines = []
    for task in dict.fromkeys(run["task"] for run in runs):
        result = compare([run for run in runs if run["task"] == task])
        scores = [f"{result[precision].mean:.2f} ± {result[precision].std:.2f}" for precision in PRECISIONS]
        noise = [f"{result['difference']:+.2f}", f"{result['noise']:.2f}", "yes" if result["holds"] else "no"]
        lines.append([task, *scores, *noise, f"{result['train']:.2f}x", f"{result['eval']:.2f}x"])
    return [
        f"bf16 (autocast over float32 weights) against fp32: {settings['model']}, {' '.join(settings['method'])}, "
        f"{settings['steps']} steps, seeds {FIRST_SEED} to {FIRST_SEED + settings['seeds'] - 1}. "
        f"{' '.join(labels)}".rstrip(),
        "Scores in percent: mean and standard deviation over seeds. Noise: two standard errors of the difference "
        "between two means of as many fp32 seeds, or one row of the dev set if that is more. Training and evaluation: "
        "time of bf16 / time of fp32, median over seeds.",
        "",
        *table(["task", *PRECISIONS, "difference", "noise", "holds", "training", "evaluation"], lines),
    ]
