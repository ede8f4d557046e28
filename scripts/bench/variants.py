"""Ways to compute the factored update and dropout, side by side.

"used" is the code of dcft. The rejected ways stay here, so that the choice can be checked on another machine.
docs/performance.md has the results.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.command import positive
from bench.output import plural, publish, table
from bench.timing import choose_device, interleave, ratios, spread

if TYPE_CHECKING:
    import torch

RANK = 8  # of the update, as with kernel size 8
SIZES = {"768 → 768": (768, 768), "768 → 3072": (768, 3072), "3072 → 768": (3072, 768)}  # in DeBERTaV3-base
WIDTH = 768
DROPOUT = f"dropout, {WIDTH} wide"
PROBABILITY = 0.1
LAYERS = 72  # adapted matrices of DeBERTaV3-base
Pass = Callable[[], "tuple[torch.Tensor, ...]"]  # forward and backward; returns the gradients


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--tokens", type=positive, default=1024, help="tokens in the layer's input")
    add("--rounds", type=positive, default=30, help="number of times that each way is timed")
    add("--device", default="cpu", choices=["cpu", "cuda"], help="cpu or cuda")
    add("--threads", type=positive, help="PyTorch's threads on the CPU; default: PyTorch's choice")


def main(arguments: argparse.Namespace) -> None:
    """Measure and publish.

    Raises:
        UserError: if there is no such device.
    """
    import torch

    device = choose_device(arguments.device)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    parts = []
    for title, ways in passes(arguments.tokens, device).items():
        for way in ways.values():
            way()
        times = interleave(ways, arguments.rounds, device, title)
        parts.append({"title": title, "rows": [{"title": name, "ms": ms} for name, ms in times.items()]})
    settings = {"tokens": arguments.tokens, "rank": RANK, "rounds": arguments.rounds, "device": arguments.device}
    report = {"measurement": "variants", "settings": settings, "parts": parts}
    publish(arguments.output, f"variants-{arguments.device}-{arguments.tokens}", report, page)


def passes(tokens: int, device: "torch.device") -> dict[str, dict[str, Pass]]:
    """The workloads: title of each part -> name of each way -> its pass. Ratios are to a part's first way."""
    parts = {size: _linear_layer(tokens, *shape, device) for size, shape in SIZES.items()}
    parts["query, key, value"] = _three_layers(tokens, device)
    parts[f"factors of {LAYERS} matrices"] = _factors(device)
    parts[DROPOUT] = _dropout(tokens, device)
    return parts


def _linear_layer(tokens: int, width: int, out: int, device: "torch.device") -> dict[str, Pass]:
    """One layer `width -> out` with an update."""
    import torch.nn.functional as F

    from dcft.tuners.factored import factored_linear

    def products(x, weight, bias, left, right):
        return F.linear(x, weight, bias) + F.linear(F.linear(x, right), left)

    def in_place(x, weight, bias, left, right):
        return F.linear(x, weight, bias).addmm_(F.linear(x, right), left.T)

    def used(x, *layer):
        return factored_linear(x, layer)[0]

    ways = {
        "two products and a sum, by autograd": products,
        "summed in place, by autograd": in_place,
        "merged into a scratch weight": _merged_weight(),
        "added into the large products (used)": used,
    }
    draw = partial(_draw, device=device)
    x, weight, bias, gradient = draw(tokens, width, grad=True), draw(out, width), draw(out), draw(tokens, out)
    left, right = draw(RANK, out).T.requires_grad_(), draw(RANK, width, grad=True)
    inputs = (x, weight, bias, left, right)
    return {"no adapter": _pass(F.linear, inputs[:3], [x], [gradient])} | {
        name: _pass(way, inputs, [x, left, right], [gradient]) for name, way in ways.items()
    }


def _merged_weight() -> Callable:
    """The update added to a copy of the weight: forward needs no product of its own, but keeps the copy."""
    import torch
    from torch.autograd.function import once_differentiable

    class MergedWeight(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight, bias, left, right):
            merged = torch.addmm(weight, left, right)
            ctx.save_for_backward(x, merged, left, right)
            return torch.nn.functional.linear(x, merged, bias)

        @staticmethod
        @once_differentiable
        def backward(ctx, gradient):
            x, merged, left, right = ctx.saved_tensors
            return gradient @ merged, None, None, ((x @ right.T).T @ gradient).T, (gradient @ left).T @ x

    return MergedWeight.apply


def _three_layers(tokens: int, device: "torch.device") -> dict[str, Pass]:
    """Query, key and value: three layers with the same input."""
    import torch.nn.functional as F

    from dcft.tuners.factored import factored_linear

    draw = partial(_draw, device=device)
    x, gradients = draw(tokens, WIDTH, grad=True), [draw(tokens, WIDTH) for _ in range(3)]
    frozen = [(draw(WIDTH, WIDTH), draw(WIDTH)) for _ in range(3)]
    pairs = [(draw(RANK, WIDTH).T.requires_grad_(), draw(RANK, WIDTH, grad=True)) for _ in range(3)]
    leaves = [x, *(factor for pair in pairs for factor in pair)]
    layers = [(*layer, *pair) for layer, pair in zip(frozen, pairs, strict=True)]
    return {
        "no adapter": _pass(lambda: [F.linear(x, *layer) for layer in frozen], (), [x], gradients),
        "each by itself": _pass(lambda: [factored_linear(x, layer)[0] for layer in layers], (), leaves, gradients),
        "together (used)": _pass(lambda: factored_linear(x, *layers), (), leaves, gradients),
    }


def _factors(device: "torch.device") -> dict[str, Pass]:
    """The factors of all matrices of a model from A, B and C."""
    import torch

    from dcft.tuners.deconvolution import factors

    draw, size = partial(_draw, device=device), WIDTH // RANK
    A, B, C = ([draw(*shape, grad=True) for _ in range(LAYERS)] for shape in ((1, size), (size, 1), (RANK, RANK)))
    leaves, gradients = [*A, *B, *C], [draw(WIDTH, RANK), draw(RANK, WIDTH)] * LAYERS

    def alone():
        return [factor for abc in zip(A, B, C, strict=True) for factor in factors(*abc, RANK)]

    def together():
        stacked = (torch.stack(tensors) for tensors in (A, B, C))
        return [factor for pair in zip(*(f.unbind() for f in factors(*stacked, RANK)), strict=True) for factor in pair]

    return {
        "each by itself": _pass(alone, (), leaves, gradients),
        "in one batch (used)": _pass(together, (), leaves, gradients),
    }


def _dropout(tokens: int, device: "torch.device") -> dict[str, Pass]:
    """Dropout of a layer's output; each way draws other numbers."""
    import numpy as np
    import torch

    from dcft.backbones.dropout import FastDropout

    def second_generator(x):
        stream = np.random.SFC64(int(torch.randint(2**62, ())))
        draws = torch.from_numpy(stream.random_raw(-(-x.numel() // 4)).view(np.int16))[: x.numel()].view(x.shape)
        kept = draws.float().ge_(round(2**16 * PROBABILITY) - 2**15)
        return x * kept.mul_(1 / (1 - PROBABILITY))

    x, gradient = _draw(tokens, WIDTH, device=device, grad=True), _draw(tokens, WIDTH, device=device)
    ways = {
        "PyTorch's": torch.nn.Dropout(PROBABILITY),
        "16 bits of a second generator, numpy's SFC64": second_generator,
        "16 bits of PyTorch's generator (used)": FastDropout(PROBABILITY),
    }
    return {name: _pass(way, (x,), [x], [gradient]) for name, way in ways.items()}


def _draw(*shape: int, device: "torch.device", grad: bool = False) -> "torch.Tensor":
    import torch

    return (torch.randn(*shape, device=device) / 30).requires_grad_(grad)


def _pass(function: Callable, inputs: tuple, leaves: list, gradients: list) -> Pass:
    import torch

    return lambda: torch.autograd.grad(function(*inputs), leaves, gradients)


def page(report: dict[str, Any]) -> list[str]:
    """The times as Markdown."""
    lines = []
    for part in report["parts"]:
        floor = part["rows"][0]["ms"]
        for row in part["rows"]:
            time, ratio = spread(row["ms"])[0], spread(ratios(row["ms"], floor))[0]
            lines.append([part["title"], row["title"], f"{time:,.2f}", f"{ratio:.3f}"])
    settings = report["settings"]
    return [
        f"Ways to compute an update of rank {settings['rank']} and dropout, forward and backward, "
        f"{settings['tokens']} tokens, {settings['device']}: median of "
        f"{plural(settings['rounds'], 'interleaved round')}. Ratio: to the first way of the layer in the same round.",
        "",
        *table(["Layer", "Way", "ms", "Ratio"], lines, text=2),
    ]
