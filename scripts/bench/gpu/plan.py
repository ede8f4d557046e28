"""What is measured on a GPU: the items, each a command that takes minutes at most."""

import re
from dataclasses import dataclass

from bench.suite import ROOT

PARTS = {
    "tests": "tests that need a GPU",
    "options": "attention, compilation, precision, batch",
    "steps": "a training step of every method",
    "sweep": "cells at once",
    "replicas": "seeds in one step",
}
PRECISIONS = ("fp32", "bf16")
COMMON = (32, 128)  # batch and length that all backbones are measured at
SHAPES = {  # batch and length (max_length) of the official scripts, those of conf/recipe/script
    "deberta-v3-base": [(32, 64), (32, 256), (32, 320), (32, 512), (16, 384)],
    "roberta-large": [(32, 64), (32, 256), (32, 320), (16, 512)],
    "deberta-v2-xxlarge": [(4, 64), (4, 128), (8, 128), (8, 256), (16, 320), (8, 512)],
    "minilm-l6": [],
}
BATCHES = {  # of the options, to see from which batch on the device is full
    "deberta-v3-base": (8, 32, 128),
    "roberta-large": (8, 32, 128),
    "deberta-v2-xxlarge": (8, 32),
}
FEW_ROWS = ("frozen", "dcft-d8", "lora-r8", "bare", "dcft-merged")  # where all do not fit into memory
AT_ONCE = (1, 2, 4, 8)
CELLS = 8
BASE_SHAPE = [  # DeBERTaV3-base with random weights and a small vocabulary, for cells without a network
    *("model.random.hidden_size=768", "model.random.intermediate_size=3072", "model.random.num_hidden_layers=12"),
    *("model.random.num_attention_heads=12", "model.random.position_buckets=256"),
]


@dataclass(frozen=True)
class Item:
    """A command whose result is one file.

    Args:
        part: a name of `PARTS`.
        name: of the file, without its beginning.
        words: of the command, after `python`.
        fallback: words to add if the command runs out of memory.
    """

    part: str
    name: str
    words: tuple[str, ...]
    fallback: tuple[str, ...] = ()


def all_items(device: str) -> list[Item]:
    """All items in their order; for "cpu" a small one of each part, to try the command."""
    if device == "cpu":
        return _trial()
    shapes = [(model, *COMMON) for model in SHAPES]
    shapes += [(model, *shape) for model, own in SHAPES.items() for shape in own]
    settings = ("--settings", *BASE_SHAPE)
    replicas = [("deberta-v3-base", 32, 64), ("deberta-v3-base", *COMMON), ("roberta-large", 32, 64)]
    return [
        *(_tests(path) for path in test_files()),
        *(_options(model, batch, COMMON[1]) for model, batches in BATCHES.items() for batch in batches),
        _bench("steps", "peak", "peak"),
        *(_step(*shape, precision, "--rounds", 10) for shape in shapes for precision in PRECISIONS),
        *(_sweep(n, "--cells", CELLS, "--steps", 200, "--model", "tiny-deberta", *settings) for n in AT_ONCE),
        *(_replicas(*shape, precision, *AT_ONCE) for precision in PRECISIONS for shape in replicas),
    ]


def _trial() -> list[Item]:
    small, sweep = ("tiny-deberta", 2, 16), ("--cells", 2, "--steps", 2, "--model", "tiny-bert")
    return [
        _tests("tests/bench/test_timing.py"),
        _options(*small, "--rounds", 2, "--without", "compile=true"),
        _bench("steps", "peak", "peak", "--rounds", 2),
        _step(*small, "fp32", "--rounds", 2, "--rows", *FEW_ROWS),
        *(_sweep(n, *sweep) for n in (1, 2)),
        _replicas(*small, "fp32", 1, 2),
    ]


def test_files() -> list[str]:
    """Test files with tests that need a GPU."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in files}
    return [path for path, text in texts.items() if re.search(r"^@pytest\.mark\.gpu|\bany_device\b", text, re.M)]


def _tests(path: str) -> Item:
    name = path.removeprefix("tests/").removesuffix(".py").replace("/test_", "-")
    return Item("tests", f"tests-{name}", ("-m", "pytest", "-m", "gpu", path))


def _bench(part: str, name: str, *words: object, fallback: tuple[str, ...] = ()) -> Item:
    return Item(part, name, ("scripts/bench", *map(str, words)), fallback)


def _options(model: str, batch: int, length: int, *more: object) -> Item:
    words = ("options", "--model", model, "--batch", batch, "--length", length, *more)
    return _bench("options", f"options-{model}-b{batch}x{length}", *words)


def _step(model: str, batch: int, length: int, precision: str, *more: object) -> Item:
    words = ("step", "--model", model, "--batch", batch, "--length", length, "--precision", precision)
    name = f"step-{model}-b{batch}x{length}-{precision}"
    return _bench("steps", name, *words, "--warmup", 2, *more, fallback=("--rows", *FEW_ROWS))


def _sweep(at_once: int, *more: object) -> Item:
    return _bench("sweep", f"sweep-{at_once}", "sweep", "--at-once", at_once, "--rounds", 1, *more)


def _replicas(model: str, batch: int, length: int, precision: str, *at_once: object) -> Item:
    words = ("replicas", "--model", model, "--batch", batch, "--length", length, "--precision", precision)
    return _bench("replicas", f"replicas-{model}-b{batch}x{length}-{precision}", *words, "--at-once", *at_once)
