"""Cost of padding: tokens computed for each real token, by task, and the time to build a batch."""

import argparse
import itertools
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.output import publish, table
from dcft.config.conf import CONF
from dcft.errors import UserError

TASKS = [path.stem for path in sorted((CONF / "task").glob("*.yaml")) if not path.stem.startswith("toy_")]
# The presets of these methods and backbones have all batch sizes, and all lengths at which texts are cut.
METHODS = ["dcft", "lora", "sora", "hadapter", "bitfit", "full"]
SCRIPTS = ["deberta-v3-base", "roberta-large", "deberta-v2-xxlarge"]
LIMIT = 1.10  # computed tokens for each real token
SEED = 6
BATCHES = 100  # timed at most


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data-root", type=Path, required=True, help="folder of the official files")
    add("--tasks", nargs="+", default=TASKS, choices=TASKS, metavar="TASK", help="default: all but the toy tasks")
    add("--model", default="minilm-l6", help="backbone whose tokenizer is used")


def main(arguments: argparse.Namespace) -> None:
    """Measure and publish.

    Raises:
        UserError: if the folder or the tokenizer is missing, or a file cannot be read.
    """
    if not arguments.data_root.is_dir():
        raise UserError(f"--data-root {arguments.data_root} is not a folder; give that of the official files")
    tasks = {}
    for task in arguments.tasks:
        print(task, file=sys.stderr, flush=True)
        tasks[task] = measure(task, arguments.model, arguments.data_root)
    report = {"settings": {"model": arguments.model, "seed": SEED}, "tasks": tasks}
    publish(arguments.output, "tokens", report, page)


def measure(task: str, model: str, root: Path) -> dict[str, Any]:
    """Measure one task.

    Returns:
        `missing`: files that do not exist; without any file nothing else.
        `split`: "train", or the dev set's name where the training file is missing; `rows`: of that split; `mean`: its
        tokens per row; `max_length`: at which texts are cut; `batch_size`: of preset=table9.
        Computed tokens for each real token: `grouped` in batches of similar length, `random` in batches of any rows,
        `longest` if all texts are padded to `max_length`, `by_batch_size` grouped for every preset's batch size,
        `dev_sorted` and `dev_unsorted` in an evaluation.
        `loader_ms`, `plain_loader_ms`: ms to build a batch, by the suite and by `datasets` with `tokenizer.pad`.
    """
    from datasets import Dataset

    from dcft.backbones import load
    from dcft.data import encode
    from dcft.data.batches import Rows
    from dcft.data.files import read

    configs = _configs(task, model, root)
    config, batch_sizes = configs[0], sorted({config.train.batch_size for config in configs})
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
    rows = Rows(encoded[split], tokenizer)
    dev = [Rows(data, tokenizer).lengths for name, data in encoded.items() if name != "train"]
    return {
        "missing": missing,
        "split": split,
        "rows": len(rows),
        "mean": round(float(rows.lengths.mean()), 2),
        "max_length": config.data.max_length,
        "batch_size": config.train.batch_size,
        **_training_padding(rows.lengths, config, batch_sizes),
        **(_evaluation_padding(dev, config.eval.batch_size) if dev else {}),
        **_loader_times(rows, encoded[split], tokenizer, config.train.batch_size),
    }


def _configs(task: str, model: str, root: Path) -> list[Any]:
    """The task's configuration under preset=table9, then under every other preset."""
    from dcft.config.build import build
    from dcft.config.compose import Composer

    compose = Composer()
    local = [f"task={task}", f"model={model}", f"data.root={root}"]
    presets = [[*local, "method=dcft", "preset=table9"], *([*local, f"method={name}"] for name in METHODS)]
    presets += [[f"task={task}", f"model={name}", "method=dcft", "preset=script"] for name in SCRIPTS]
    return [build(compose(settings)) for settings in presets]


def _training_padding(lengths: Any, config: Any, batch_sizes: list[int]) -> dict[str, Any]:
    import numpy as np

    from dcft.data.batches import LengthGroupedSampler

    batch_size = config.train.batch_size
    grouped = {size: _ratio(lengths, LengthGroupedSampler(lengths, size, SEED), size) for size in batch_sizes}
    random = LengthGroupedSampler(np.zeros_like(lengths), batch_size, SEED)  # equal lengths: no groups
    return {
        "grouped": grouped[batch_size],
        "random": _ratio(lengths, random, batch_size),
        "longest": round(config.data.max_length * len(lengths) / int(lengths.sum()), 4),
        "by_batch_size": grouped,
    }


def _evaluation_padding(dev: list[Any], batch_size: int) -> dict[str, float]:
    import numpy as np

    from dcft.data.batches import cut

    lengths = np.concatenate(dev)
    order = lengths.argsort(kind="stable")
    return {
        "dev_sorted": _ratio(lengths, order.tolist(), cut(lengths[order], batch_size)),
        "dev_unsorted": _ratio(lengths, range(len(lengths)), batch_size),
    }


def _ratio(lengths: Any, order: Iterable[int], batch_size: int | list[int]) -> float:
    """Computed tokens for each real token."""
    from dcft.data.batches import count_tokens

    tokens = count_tokens(lengths, order, batch_size)
    return round(tokens["computed"] / tokens["real"], 4)


def _loader_times(rows: Any, data: Any, tokenizer: Any, batch_size: int) -> dict[str, float]:
    from torch.utils.data import DataLoader
    from transformers import DataCollatorWithPadding

    from dcft.data.batches import LengthGroupedSampler, ProcessBatches, loader

    share = ProcessBatches(LengthGroupedSampler(rows.lengths, batch_size, SEED), batch_size, 0, 1)
    plain = DataLoader(data, batch_sampler=share, collate_fn=DataCollatorWithPadding(tokenizer))
    return {
        "loader_ms": _milliseconds_per_batch(loader(rows, share, pin_memory=False)),
        "plain_loader_ms": _milliseconds_per_batch(plain),
    }


def _milliseconds_per_batch(loader: Iterable[Any]) -> float:
    iterator = iter(loader)
    next(iterator)  # the first batch waits for start-up
    started = time.perf_counter()
    n = sum(1 for _ in itertools.islice(iterator, BATCHES))
    return round(1000 * (time.perf_counter() - started) / max(1, n), 3)


def page(report: dict[str, Any]) -> list[str]:
    """The ratios and times as Markdown, a line for each task; blank where files are missing."""
    header = ["task", "rows", "mean length", "batch", "grouped", "worst of all presets", "random", "to max_length"]
    header += ["dev sorted", "dev in file order", "loader, ms", "plain, ms"]
    lines, above, missing = [], [], []
    for task, result in report["tasks"].items():
        missing += result["missing"]
        if "rows" not in result:
            lines.append([task, *[None] * (len(header) - 1)])
            continue
        size, worst = max(result["by_batch_size"].items(), key=lambda entry: entry[1])
        above += [task] if worst >= LIMIT else []
        rows = f"{result['rows']:,}" + ("" if result["split"] == "train" else f" ({result['split']})")
        grouped, random = (f"{result[name]:.3f}" for name in ("grouped", "random"))
        training = [grouped, f"{worst:.3f} (at {size})", random, f"{result['longest']:.2f}"]
        evaluation = [f"{result[name]:.3f}" if name in result else None for name in ("dev_sorted", "dev_unsorted")]
        times = [f"{result[name]:.2f}" for name in ("loader_ms", "plain_loader_ms")]
        lines.append([task, rows, f"{result['mean']:.1f}", result["batch_size"], *training, *evaluation, *times])
    verdict = f"above {LIMIT}: {', '.join(above)}" if above else f"below {LIMIT} for every task and batch size"
    settings = report["settings"]
    return [
        f"Tokens computed for each real token ({settings['model']}'s tokenizer, seed {settings['seed']}, first epoch). "
        f"Grouped, in batches of similar length: {verdict}. Batch: of preset=table9. The last two columns are the ms "
        "to build a batch, by the suite and by `datasets` with `tokenizer.pad`.",
        "",
        *table(header, lines),
        *(["", f"Missing files: {', '.join(missing)}."] if missing else []),
    ]
