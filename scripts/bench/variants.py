"""Ways to compute the factored update, side by side: `scripts/bench variants`.

What dcft.tuners does is "used"; the others were tried, and stay here so that the choice can be made again on another
machine. docs/performance.md says what came out.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.command import require_positive
from bench.report import keep, table
from bench.statistics import ratios, spread
from dcft.errors import UserError

RANK = 8  # of the update: kernel 8
SIZES = {"768 → 768": (768, 768), "768 → 3072": (768, 3072), "3072 → 768": (3072, 768)}  # of DeBERTaV3-base
LAYERS = 72  # matrices of DeBERTaV3-base


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings of `scripts/bench variants`."""
    parser.add_argument("--tokens", type=int, default=1024, help="rows of the layer's input")
    parser.add_argument("--rounds", type=int, default=30, help="how many times each way is timed")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, help="of PyTorch on the CPU; nothing: PyTorch's own choice")
    parser.add_argument("--output", type=Path, default=Path("results/bench"), help="folder of the JSON file and table")


def main(arguments: argparse.Namespace) -> None:
    """Measure, write and print.

    Raises:
        UserError: for settings that cannot be measured.
    """
    require_positive(arguments, "tokens", "rounds", "threads")
    import torch

    from bench.timing import interleave

    if arguments.device not in ("cpu", "cuda") or (arguments.device == "cuda" and not torch.cuda.is_available()):
        raise UserError(f"--device {arguments.device}: give cpu, or cuda where there is one")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    device = torch.device(arguments.device)
    parts = []
    for title, ways in _parts(arguments.tokens, device).items():
        for way in ways.values():
            way()
        times = interleave(ways, arguments.rounds, device, title)
        parts.append({"title": title, "rows": [{"title": name, "ms": ms} for name, ms in times.items()]})
    settings = {"tokens": arguments.tokens, "rank": RANK, "rounds": arguments.rounds, "device": arguments.device}
    report = {"measurement": "variants", "settings": settings, "parts": parts}
    keep(arguments.output, f"variants-{arguments.device}-{arguments.tokens}", report, _page(report))


def _parts(tokens: int, device: Any) -> dict[str, dict[str, Callable[[], None]]]:
    """Title of each part -> name of each way -> its forward and backward pass; the floor first."""
    import torch
    import torch.nn.functional as F

    from bench.tried import ScratchWeight
    from dcft.tuners.deconvolution import factors
    from dcft.tuners.factored import factored_linear

    def draw(*shape: int, grad: bool = False) -> torch.Tensor:
        return (torch.randn(*shape, device=device) / 30).requires_grad_(grad)

    def run(function, inputs, leaves, gradients):
        def once():
            return torch.autograd.grad(function(*inputs), leaves, gradients)

        return once

    def products(x, weight, bias, left, right):
        return F.linear(x, weight, bias) + F.linear(F.linear(x, right), left)

    def in_place(x, weight, bias, left, right):
        return F.linear(x, weight, bias).addmm_(F.linear(x, right), left.T)

    def used(x, *layer):
        return factored_linear(x, layer)[0]

    ways = {
        "two products and a sum, by autograd": products,
        "summed in place, by autograd": in_place,
        "merged into a scratch weight": ScratchWeight.apply,
        "added into the large products (used)": used,
    }
    parts = {}
    for size, (width, out) in SIZES.items():
        x, weight, bias, grad = draw(tokens, width, grad=True), draw(out, width), draw(out), draw(tokens, out)
        left, right = draw(RANK, out).T.requires_grad_(), draw(RANK, width, grad=True)
        inputs = (x, weight, bias, left, right)
        parts[size] = {"no adapter": run(F.linear, inputs[:3], [x], [grad])}
        parts[size] |= {name: run(way, inputs, [x, left, right], [grad]) for name, way in ways.items()}
    width = SIZES["768 → 768"][0]
    x, grads = draw(tokens, width, grad=True), [draw(tokens, width) for _ in range(3)]
    frozen = [(draw(width, width), draw(width)) for _ in range(3)]
    pairs = [(draw(RANK, width).T.requires_grad_(), draw(RANK, width, grad=True)) for _ in range(3)]
    leaves = [x, *(factor for pair in pairs for factor in pair)]
    operands = [(*layer, *pair) for layer, pair in zip(frozen, pairs, strict=True)]
    parts["query, key, value"] = {
        "no adapter": run(lambda: [F.linear(x, *layer) for layer in frozen], (), [x], grads),
        "each by itself": run(lambda: [used(x, *layer) for layer in operands], (), leaves, grads),
        "together (used)": run(lambda: factored_linear(x, *operands), (), leaves, grads),
    }
    size = width // RANK
    A, B, C = ([draw(*shape, grad=True) for _ in range(LAYERS)] for shape in ((1, size), (size, 1), (RANK, RANK)))
    leaves = [*A, *B, *C]
    grads = [draw(width, RANK), draw(RANK, width)] * LAYERS

    def together():
        stacked = (torch.stack(tensors) for tensors in (A, B, C))
        return [factor for pair in zip(*(f.unbind() for f in factors(*stacked, RANK)), strict=True) for factor in pair]

    parts[f"factors of {LAYERS} matrices"] = {
        "each by itself": run(
            lambda: [factor for abc in zip(A, B, C, strict=True) for factor in factors(*abc, RANK)], (), leaves, grads
        ),
        "in one batch (used)": run(together, (), leaves, grads),
    }
    return parts


def _page(report: dict[str, Any]) -> list[str]:
    """Each part's first way is what its ratios are to."""
    rows = []
    for part in report["parts"]:
        floor = part["rows"][0]["ms"]
        for row in part["rows"]:
            time, ratio = spread(row["ms"])[0], spread(ratios(row["ms"], floor))[0]
            rows.append([part["title"], row["title"], f"{time:,.2f}", f"{ratio:.3f}"])
    s = report["settings"]
    caption = (
        f"Ways to compute an update of rank {s['rank']}, forward and backward, {s['tokens']} tokens, {s['device']}: "
        f"medians of {s['rounds']} interleaved rounds; ratios to the first way in the same round."
    )
    return [caption, "", *table(["Layer", "Way", "ms", "Ratio"], rows)]
