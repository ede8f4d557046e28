"""Training speed of the suite on RTE against Hugging Face's example recipe, side by side.

python scripts/bench recipe --data-root PATH

The recipe is transformers' examples/pytorch/text-classification/run_glue.py as it comes: every text is padded to
`max_seq_length` (`pad_to_max_length` is true, `max_seq_length` 128), rows are drawn at random, the Trainer has its
defaults. The adapter is that of PEFT's examples/sequence_classification: LoRA, r=8, alpha 16, dropout 0.1, on PEFT's
default modules, query and value.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from bench.command import require_positive
from bench.report import keep, table
from dcft.config.build import build
from dcft.config.cell import RunConfig
from dcft.config.compose import Composer

PAPER, EXAMPLE = 320, 128  # max_length: of the official script for RTE (conf/recipe/script/rte.yaml), of run_glue.py
LORA = ["method=lora", "rank=8", "targets=qv", "recipe.lora_alpha=16", "+method.peft.lora_dropout=0.1"]
SUITE = {"suite, DCFT (d=8)": ["method=dcft"], "suite, LoRA (r=8)": LORA}
PLAIN = {f"Hugging Face, LoRA (r=8), padded to {length}": length for length in (PAPER, EXAMPLE)}
REFERENCE = next(iter(PLAIN))
TARGET = 3.0  # the suite's speed, in the reference's


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings of this measurement."""
    parser.add_argument("--data-root", type=Path, required=True, help="folder with the official files")
    parser.add_argument("--model", default="minilm-l6", help="the backbone")
    parser.add_argument(
        "--batch", type=int, default=32, help="rows of a batch (run_glue's README, the official script)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured, in turn")
    parser.add_argument(
        "--steps", type=int, default=10, help="of Hugging Face's recipe, whose batches are all of a size"
    )
    parser.add_argument("--rows", type=int, help="of the suite's epoch; nothing: all, so that all lengths are in it")
    parser.add_argument("--output", type=Path, default=Path("results/bench"), help="where recipe.json and .md go")


def main(arguments: argparse.Namespace) -> None:
    """Measure, write `recipe.json` and `recipe.md`, print the table.

    Raises:
        UserError: if a number makes no sense, or the data or the backbone cannot be had.
    """
    require_positive(arguments, "batch", "rounds", "steps", "rows")
    configs = {name: _config(arguments, overrides) for name, overrides in SUITE.items()}
    rounds = []
    for number in range(arguments.rounds):
        speeds = {name: suite(config) for name, config in configs.items()}
        speeds |= {name: plain(next(iter(configs.values())), length, arguments.steps) for name, length in PLAIN.items()}
        rounds.append({name: round(speed, 2) for name, speed in speeds.items()})
        print(f"round {number + 1}: {rounds[-1]} rows a second", file=sys.stderr, flush=True)
    settings = {key: getattr(arguments, key) for key in ("model", "batch", "steps", "rows")}
    report = {"settings": settings, "reference": REFERENCE, "target": TARGET, "samples_per_s": rounds}
    keep(arguments.output, "recipe", report, page(report))


def _config(arguments: argparse.Namespace, overrides: list[str]) -> RunConfig:
    """One epoch of the suite, scored once at its end, at the length where the official script cuts texts."""
    settings = ["task=rte", f"model={arguments.model}", *overrides, f"data.root={arguments.data_root.resolve()}"]
    settings += [f"train.batch_size={arguments.batch}", "train.epochs=1", "train.lr=1e-4", "eval.every=1000000"]
    settings += [f"data.max_train={arguments.rows}"] if arguments.rows else []
    config = build(Composer()(settings))
    config.require_data()
    return config


def suite(config: RunConfig) -> float:
    """Rows a second of an epoch, as the record has them: the evaluation is left out."""
    from dcft.results import records
    from dcft.training import run

    with tempfile.TemporaryDirectory() as folder:
        config.results.dir, config.outputs.dir = f"{folder}/results", f"{folder}/outputs"
        return records.read(run.run(config))["time"]["samples_per_s"]


def plain(config: RunConfig, max_length: int, steps: int) -> float:
    """Rows a second of Hugging Face's recipe; loading and padding are left out, as run_glue.py does both beforehand.

    Args:
        config: names the backbone, the data and the batch.
        max_length: tokens that every text is padded to, or cut at.
        steps: how many to train.
    """
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import PrinterCallback, Trainer, TrainingArguments, default_data_collator

    from dcft.backbones import load
    from dcft.data.files import read

    backbone = load.load(config)
    raw = Dataset.from_list(read(config.task, "train", config.data_files["train"]))

    def tokenise(batch):
        texts = (batch["text"], batch["pair"])
        return backbone.tokenizer(*texts, padding="max_length", max_length=max_length, truncation=True)

    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=get_peft_model(backbone.model, LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, lora_dropout=0.1)),
            args=TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=config.train.batch_size,
                max_steps=steps,
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=raw.map(tokenise, batched=True),
            data_collator=default_data_collator,
        )
        trainer.remove_callback(PrinterCallback)
        return trainer.train().metrics["train_samples_per_second"]


def page(report: dict[str, Any]) -> list[str]:
    """The numbers as Markdown."""
    rounds, settings, reference = report["samples_per_s"], report["settings"], report["reference"]
    lines = []
    for name in rounds[0]:
        ratios = [speeds[name] / speeds[reference] for speeds in rounds]
        speed, spread = median(speeds[name] for speeds in rounds), f"{min(ratios):.2f} to {max(ratios):.2f}"
        lines.append([name, f"{speed:.1f}", f"{median(ratios):.2f}", spread])
    slowest = min(
        median(speeds[name] / speeds[reference] for speeds in rounds) for name in rounds[0] if name.startswith("suite")
    )
    verdict = "met" if slowest >= report["target"] else "not met"
    return [
        f"RTE, {settings['model']}, batches of {settings['batch']}: rows a second in training, medians of "
        f"{len(rounds)} rounds. The ratio is to Hugging Face's recipe at the paper's length, in the same round. The "
        f"target of {report['target']:.0f} for the suite is {verdict}. Padded to {EXAMPLE}, longer texts are cut.",
        "",
        *table(["", "rows/s", "ratio", "range"], lines),
    ]
