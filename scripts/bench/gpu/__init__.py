"""Everything that one GPU decides, in items of minutes: what was measured stays, the same command goes on.

docs/gpu.md says what is measured. `bench.gpu.plan` lists the items; each is a command of its own, whose result is one
file `gpu-ITEM.json`. The table `gpu.md` is made of all that are there.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from bench.command import positive
from bench.gpu import items, summary
from bench.gpu.page import brief, page
from bench.gpu.plan import PARTS, Item, all_items
from bench.output import plural, publish
from dcft.errors import UserError

__all__ = ["add_arguments", "main", "page"]

LEAST = 20  # s; with less left, no item begins
TRIAL = {"cpu": "gpu-trial", "cuda": "gpu"}  # what files begin with: a trial must not pass for a measurement


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--part", choices=[*PARTS, "table"], metavar="PART", help=f"one of {', '.join(PARTS)}, table; default: all")
    add("--minutes", type=positive, default=8, help="no more than these; what remains is done by the next call")
    devices = "cpu: try the command on a tiny backbone, in files gpu-trial-*"
    add("--device", default="cuda", choices=["cuda", "cpu"], help=devices)


def main(arguments: argparse.Namespace) -> None:
    """Run items that have no result until the time is up, then publish the table.

    Raises:
        UserError: if there is no such device, or nothing for a table.
    """
    prefix, planned = TRIAL[arguments.device], all_items(arguments.device)
    chosen = [item for item in planned if arguments.part in (None, item.part)]
    files = {item: arguments.output / f"{prefix}-{item.name}.json" for item in planned}
    if arguments.part != "table":
        _require(arguments.device)
        advance(chosen, files, 60 * arguments.minutes)
    results = [result for item in planned if (result := items.read(files[item])) is not None]
    if not results:
        raise UserError(f"{arguments.output} has no result {prefix}-*.json; run python scripts/bench gpu first")
    reports = [result["report"] for result in results if result["report"] is not None]
    first = next((report for report in reports if "hardware" in report), {})  # those of tests have none
    settings = {"device": arguments.device, "done": len(results), "of": len(planned)}
    machine = {name: first[name] for name in ("hardware", "versions", "git") if name in first}
    report = {"settings": settings, **machine, **summary.collect(results)}
    publish(arguments.output, prefix, report, page, brief)
    done = sum(files[item].exists() for item in chosen or planned)
    of = len(chosen or planned)
    rest = "" if done == of else "; the same command goes on"
    print(f"{done} of {plural(of, 'item')} done{rest}")


def _require(device: str) -> None:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("make gpu needs a CUDA device, and PyTorch finds none; to try it: ARGS='--device cpu'")


def advance(chosen: list[Item], files: dict[Item, Path], seconds: float) -> None:
    """Run the items that have no result.

    An item that the time cuts off is begun anew by the next call. If it had all the time, the file says that it takes
    longer.

    Args:
        chosen: in their order.
        files: where results lie.
        seconds: time for all.
    """
    end, fresh = time.monotonic() + seconds, True
    for number, item in enumerate(chosen):
        left = end - time.monotonic()
        if files[item].exists():
            continue
        if left < LEAST and not fresh:
            return
        print(f"[{number + 1}/{len(chosen)}] {item.name}", file=sys.stderr, flush=True)
        result: dict[str, Any] | None = items.run(item, left)
        if result is None and not fresh:
            return
        items.write(files[item], item, result or items.failed(f"takes longer than {seconds / 60:.0f} minutes"))
        fresh = False
