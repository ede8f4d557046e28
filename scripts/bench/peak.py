"""Rate of a large matrix product, by precision: what the device can do at most, for the MFU of a step."""

import argparse
from typing import Any

from bench.command import positive
from bench.output import plural, publish, table

SIDES = {"cpu": 1024, "cuda": 8192}  # of the square matrices, large enough that launching costs nothing
PRECISIONS = ("fp32", "bf16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=positive, default=10, help="number of times that each product is timed")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: cuda if there is a GPU")


def main(arguments: argparse.Namespace) -> None:
    """Measure and publish.

    Raises:
        UserError: if there is no such device.
    """
    import torch

    from bench.timing import choose_device, interleave

    device = choose_device(arguments.device)
    side = SIDES[device.type]
    matrix = torch.randn(side, side, device=device)
    operands = {"fp32": matrix, "bf16": matrix.bfloat16()}
    products = {name: (lambda operand=operand: operand @ operand) for name, operand in operands.items()}
    for product in products.values():
        product()
    times = interleave(products, arguments.rounds, device, "matrix product")
    rates = {name: 2 * side**3 / (min(ms) / 1e3) for name, ms in times.items()}
    settings = {"device": device.type, "side": side, "rounds": arguments.rounds}
    publish(arguments.output, f"peak-{device.type}", {"settings": settings, "ms": times, "rates": rates}, page)


def page(report: dict[str, Any]) -> list[str]:
    """The rates as Markdown."""
    s = report["settings"]
    return [
        f"Product of two matrices of {s['side']} x {s['side']}: best of {plural(s['rounds'], 'round')}.",
        "",
        *table(["precision", "TFLOP/s"], [[name, f"{rate / 1e12:.2f}"] for name, rate in report["rates"].items()]),
    ]
