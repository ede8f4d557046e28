"""What padding costs: tokens computed for each real one, by task, and how long the loader takes for a batch.

python scripts/bench tokens --data-root PATH
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from bench.report import keep, table
from dcft.errors import UserError

TASKS = "cola sst2 mrpc qqp stsb mnli qnli rte squad_v1 squad_v2".split()
# Every preset's batch sizes, and with them the lengths at which texts are cut.
METHODS = ["dcft", "lora", "sora", "hadapter", "bitfit", "full"]
SCRIPTS = ["deberta-v3-base", "roberta-large", "deberta-v2-xxlarge"]
LIMIT = 1.10  # computed tokens for each real one
SEED = 6
BATCHES = 100  # for the loader's time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings of this measurement."""
    parser.add_argument("--data-root", type=Path, required=True, help="folder with the official files")
    parser.add_argument("--tasks", nargs="+", default=TASKS, metavar="TASK", help="nothing: all that are not toys")
    parser.add_argument("--model", default="minilm-l6", help="whose tokenizer")
    parser.add_argument("--output", type=Path, default=Path("results/bench"), help="where tokens.json and .md go")


def main(arguments: argparse.Namespace) -> None:
    """Measure, write `tokens.json` and `tokens.md`, print the table.

    Raises:
        UserError: if a task or the tokenizer is not to be had, or a file cannot be read.
    """
    unknown = [task for task in arguments.tasks if task not in TASKS]
    if unknown:
        raise UserError(f"--tasks {unknown[0]}: give some of {', '.join(TASKS)}")
    if not arguments.data_root.is_dir():
        raise UserError(f"--data-root {arguments.data_root}: there is no such folder; give that of the official files")
    measured = {}
    for task in arguments.tasks:
        print(task, file=sys.stderr, flush=True)
        measured[task] = measure(task, arguments.model, arguments.data_root)
    settings = {"model": arguments.model, "seed": SEED}
    keep(arguments.output, "tokens", {"settings": settings, "tasks": measured}, page(measured, arguments.model))


def measure(task: str, model: str, root: Path) -> dict[str, Any]:
    """One task.

    Returns:
        `missing`: files that are not there. `rows`: of the split that stands for training: `train`, or `dev` where the
        training file is missing. `mean`: its tokens a row. `batch_size`: of preset=table9. `grouped`, `random`,
        `longest`: tokens computed for each real one in batches of similar length, of any rows, and padded to
        `max_length`. `by_batch_size`: `grouped` for the batch sizes of all presets. `dev_sorted`, `dev_unsorted`: of an
        evaluation. `loader_ms`, `plain_loader_ms`: for a batch of ours, and through `datasets` and `tokenizer.pad`.
    """
    import numpy as np
    from datasets import Dataset

    from dcft.backbones import load
    from dcft.data import encode
    from dcft.data.batches import LengthGroupedSampler, Rows, count_tokens
    from dcft.data.files import read

    configs = _configs(task, model, root)
    config, sizes = configs[0], sorted({one.train.batch_size for one in configs})
    files = {split: path for split, path in config.data_files.items() if path.is_file()}
    missing = [str(path.relative_to(root)) for split, path in config.data_files.items() if split not in files]
    if not files:
        return {"missing": missing}
    tokenizer = load.load_tokenizer(config.model)
    encoded = {}
    for split, path in files.items():
        raw = Dataset.from_list(read(config.task, split, path))
        encoded[split] = encode.inputs(
            encode.tokenise(config, tokenizer, split, raw, new_fingerprint=f"{task}-{split}")
        )
    split = "train" if "train" in files else next(iter(files))
    rows, batch_size = Rows(encoded[split], tokenizer), config.train.batch_size
    lengths = rows.lengths

    def ratio(counted: dict[str, int]) -> float:
        return round(counted["computed"] / counted["real"], 4)

    by_size = {size: ratio(count_tokens(lengths, LengthGroupedSampler(lengths, size, SEED), size)) for size in sizes}
    any_order = LengthGroupedSampler(np.zeros_like(lengths), batch_size, SEED)
    dev = [Rows(data, tokenizer).lengths for name, data in encoded.items() if name != "train"]
    evaluated = {}
    if dev:
        dev = np.concatenate(dev)
        for name, order in (("dev_sorted", dev.argsort(kind="stable")), ("dev_unsorted", np.arange(len(dev)))):
            evaluated[name] = ratio(count_tokens(dev, order.tolist(), config.eval.batch_size))
    return {
        "missing": missing,
        "split": split,
        "rows": len(rows),
        "mean": round(float(lengths.mean()), 2),
        "max_length": config.data.max_length,
        "batch_size": batch_size,
        "grouped": by_size[batch_size],
        "random": ratio(count_tokens(lengths, any_order, batch_size)),
        "longest": round(config.data.max_length * len(rows) / int(lengths.sum()), 4),
        "by_batch_size": by_size,
        **evaluated,
        **_loaders(rows, encoded[split], tokenizer, batch_size),
    }


def _configs(task: str, model: str, root: Path):
    """The task under preset=table9, and under every other preset."""
    from dcft.config.build import build
    from dcft.config.compose import Composer

    compose = Composer()
    settings = [f"task={task}", f"model={model}", f"data.root={root}"]
    chosen = [[*settings, "method=dcft", "preset=table9"], *([*settings, f"method={name}"] for name in METHODS)]
    chosen += [[f"task={task}", f"model={name}", "method=dcft", "preset=script"] for name in SCRIPTS]
    return [build(compose(overrides)) for overrides in chosen]


def _loaders(rows, data, tokenizer, batch_size: int) -> dict[str, float]:
    from torch.utils.data import DataLoader
    from transformers import DataCollatorWithPadding

    from dcft.data.batches import LengthGroupedSampler, Share, loader

    share = Share(LengthGroupedSampler(rows.lengths, batch_size, SEED), batch_size, 0, 1)
    plain = DataLoader(data, batch_sampler=share, collate_fn=DataCollatorWithPadding(tokenizer))
    return {
        "loader_ms": _ms_a_batch(loader(rows, share, pin_memory=False)),
        "plain_loader_ms": _ms_a_batch(plain),
    }


def _ms_a_batch(batches) -> float:
    batches, seen = iter(batches), 0
    next(batches)
    begun = time.perf_counter()
    for _, _ in zip(range(BATCHES), batches, strict=False):
        seen += 1
    return round(1000 * (time.perf_counter() - begun) / max(1, seen), 3)


def page(measured: dict[str, dict[str, Any]], model: str) -> list[str]:
    """The numbers as Markdown."""
    header = ["task", "rows", "mean length", "batch", "grouped", "worst of all presets", "random", "to max_length"]
    header += ["dev sorted", "dev in file order", "loader, ms", "plain, ms"]
    lines, missing = [], []
    for task, found in measured.items():
        missing += found["missing"]
        if "rows" not in found:
            lines.append([task, *[None] * (len(header) - 1)])
            continue
        size, worst = max(found["by_batch_size"].items(), key=lambda entry: entry[1])
        rows = f"{found['rows']:,}" + ("" if found["split"] == "train" else f" ({found['split']})")
        ratios = [found["grouped"], f"{worst:.3f} (at {size})", found["random"]]
        ratios = [value if isinstance(value, str) else f"{value:.3f}" for value in ratios]
        evaluated = [f"{found[name]:.3f}" if name in found else None for name in ("dev_sorted", "dev_unsorted")]
        times = [f"{found[name]:.2f}" for name in ("loader_ms", "plain_loader_ms")]
        row = [task, rows, f"{found['mean']:.1f}", found["batch_size"], *ratios, f"{found['longest']:.2f}"]
        lines.append([*row, *evaluated, *times])
    over = [task for task, found in measured.items() if max(found.get("by_batch_size", {0: 0}).values()) >= LIMIT]
    verdict = f"above {LIMIT}: {', '.join(over)}" if over else f"below {LIMIT} for every task here and every batch size"
    return [
        f"Tokens computed for each real one ({model}'s tokenizer, seed {SEED}, first epoch); grouped: {verdict}. The "
        "batch is that of preset=table9; the last two columns are milliseconds the loader takes for one, ours and "
        "through `datasets` and `tokenizer.pad`.",
        "",
        *table(header, lines),
        *(["", f"Not there: {', '.join(missing)}."] if missing else []),
    ]
