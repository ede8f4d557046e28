"""Training speed of the suite on RTE against Hugging Face's example recipe.

The recipe is transformers' examples/pytorch/text-classification/run_glue.py with its defaults: every text is padded to
`max_seq_length` (128), rows are drawn at random, the Trainer is as it comes. The adapter is that of PEFT's
examples/sequence_classification: LoRA, r=8, alpha 16, dropout 0.1, on query and value.
"""

import argparse
import math
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from bench.command import positive
from bench.output import plural, publish, table
from bench.timing import ratios
from dcft.config.build import build
from dcft.config.cell import RunConfig
from dcft.config.compose import Composer

LORA = ["method=lora", "rank=8", "targets=qv", "method.peft.lora_alpha=16", "+method.peft.lora_dropout=0.1"]
SUITE = {"suite, DCFT (d=8)": ["method=dcft"], "suite, LoRA (r=8)": LORA}
HUGGING_FACE = "Hugging Face, LoRA (r=8), padded to {}"
EXAMPLE_LENGTH = 128  # max_seq_length of run_glue.py
TARGET = 3.0  # speed of the suite relative to the reference


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data-root", type=Path, required=True, help="folder of the official files")
    add("--model", default="minilm-l6", help="backbone")
    add(
        "--batch", type=positive, default=32, help="rows in a batch; 32 in run_glue.py's README and the official script"
    )
    add("--rounds", type=positive, default=3, help="number of times that each is measured, in turn")
    add("--steps", type=positive, default=10, help="training steps of Hugging Face's recipe: its batches are all alike")
    add("--rows", type=positive, help="training rows of the suite's epoch; default: all, so that all lengths occur")


def main(arguments: argparse.Namespace) -> None:
    """Measure and publish.

    Raises:
        UserError: if the data or the backbone is missing.
    """
    configs = {name: _config(arguments, overrides) for name, overrides in SUITE.items()}
    config = next(iter(configs.values()))
    lengths = {HUGGING_FACE.format(length): length for length in (config.data.max_length, EXAMPLE_LENGTH)}
    rounds = []
    for number in range(arguments.rounds):
        speeds = {name: suite(each) for name, each in configs.items()}
        speeds |= {name: hugging_face(config, length, arguments.steps) for name, length in lengths.items()}
        rounds.append({name: round(speed, 2) for name, speed in speeds.items()})
        print(f"round {number + 1}: {rounds[-1]} rows/s", file=sys.stderr, flush=True)
    report = {
        "settings": {key: getattr(arguments, key) for key in ("model", "batch", "steps", "rows")},
        "reference": next(iter(lengths)),
        "target": TARGET,
        "samples_per_s": rounds,
    }
    publish(arguments.output, "recipe", report, page)


def _config(arguments: argparse.Namespace, overrides: list[str]) -> RunConfig:
    """One epoch of the suite with the official script's settings, evaluated once at its end."""
    settings = ["task=rte", f"model={arguments.model}", *overrides, f"data.root={arguments.data_root.resolve()}"]
    settings += [f"train.batch_size={arguments.batch}", "train.epochs=1", "train.lr=1e-4", "eval.every=1000000"]
    settings += [f"data.max_train={arguments.rows}"] if arguments.rows else []
    config = build(Composer()(settings))
    config.require_data()
    return config


def suite(config: RunConfig) -> float:
    """Training speed of the suite in rows/s, from the cell's record: without its evaluation."""
    from dcft.results import records
    from dcft.training import run

    with tempfile.TemporaryDirectory() as folder:
        config.results.dir, config.outputs.dir = f"{folder}/results", f"{folder}/outputs"
        return records.read(run.run_cell(config)).time.samples_per_s


def hugging_face(config: RunConfig, max_length: int, steps: int) -> float:
    """Training speed of Hugging Face's recipe in rows/s, without loading and padding: run_glue.py does both beforehand.

    Args:
        config: cell with the same backbone, data and batch size.
        max_length: number of tokens that every text is padded or cut to.
        steps: number of training steps.
    """
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import PrinterCallback, Trainer, TrainingArguments, default_data_collator

    from dcft.backbones import load
    from dcft.data.files import read

    backbone = load.load_backbone(config)
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
    """The speeds as Markdown, with ratios to the reference in the same round."""
    rounds, settings = report["samples_per_s"], report["settings"]
    lines, slowest = [], math.inf
    for name in rounds[0]:
        speeds = [speed[name] for speed in rounds]
        relative = ratios(speeds, [speed[report["reference"]] for speed in rounds])
        if name in SUITE:
            slowest = min(slowest, median(relative))
        spread = f"{min(relative):.2f} to {max(relative):.2f}"
        lines.append([name, f"{median(speeds):.1f}", f"{median(relative):.2f}", spread])
    verdict = "met" if slowest >= report["target"] else "not met"
    return [
        f"RTE, {settings['model']}, batches of {settings['batch']}: training speed in rows/s, median of "
        f"{plural(len(rounds), 'round')}. Ratio: to Hugging Face's recipe at the paper's length, in the same round. "
        f"The suite's target of {report['target']:.0f} is {verdict}. Where texts are padded to {EXAMPLE_LENGTH} "
        "tokens, longer ones are cut.",
        "",
        *table(["", "rows/s", "ratio", "range"], lines),
    ]
