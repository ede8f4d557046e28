"""Several seeds of one adapter trained at once on one frozen backbone: is it worth becoming a feature?

A prototype (`bench.replicas.model`) trains R replicas in one step. The measurement compares its time with that of R
steps of one replica, as the suite takes them.
"""

import argparse
from typing import Any

from bench.command import positive
from bench.output import plural, publish, table
from bench.step import LARGE, LONGEST, MODELS, TINY
from bench.step.rows import STEP
from bench.timing import choose_device, ratios, spread
from dcft.errors import UserError

ROWS = [name for name, row in STEP.items() if row.settings[0] in ("method=dcft", "method=lora") and not row.variant]
ALONE = "alone"
SETTINGS = ("model", "row", "batch", "length", "precision", "rounds", "warmup")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    models = MODELS + LARGE + TINY
    add("--model", default=MODELS[0], choices=models, metavar="MODEL", help=f"one of {', '.join(models)}")
    add("--row", default="dcft-d8", choices=ROWS, metavar="ROW", help=f"the adapter: one of {', '.join(ROWS)}")
    add("--at-once", type=positive, nargs="+", default=[1, 2, 4, 8], metavar="R", help="numbers of replicas")
    add("--batch", type=positive, default=32, help="sequences in the batch of one replica")
    add("--length", type=positive, default=128, help="tokens of each sequence")
    add("--layers", type=positive, help="layers of the backbone; default: all")
    add("--rounds", type=positive, default=5, help="number of times that each step is timed")
    add("--warmup", type=positive, default=1, help="number of steps of each before it is timed")
    add("--device", choices=["cpu", "cuda"], help="default: cuda if there is a GPU")
    add("--precision", default="fp32", choices=["fp32", "bf16"], help="bf16: autocast over float32 weights")


def main(arguments: argparse.Namespace) -> None:
    """Check, measure and publish.

    Raises:
        UserError: for settings that cannot be measured.
        RunFailed: if replicas at once do not compute what they compute alone.
    """
    from bench.replicas import steps
    from bench.step import backbones

    device = choose_device(arguments.device)
    all_layers = backbones.architecture(arguments.model)["num_hidden_layers"]
    if (arguments.layers or 1) > all_layers:
        raise UserError(f"--layers {arguments.layers}: {arguments.model} has {all_layers}")
    if arguments.length > LONGEST:
        raise UserError(f"--length {arguments.length}: give 1 to {LONGEST} tokens")
    report = {
        "settings": {name: getattr(arguments, name) for name in SETTINGS}
        | {"device": device.type, "layers": arguments.layers or all_layers, "of_layers": all_layers},
        **steps.measure(arguments, device),
    }
    publish(arguments.output, f"replicas-{device.type}", report, page)


def gains(report: dict[str, Any]) -> dict[int, tuple[float, float, float]]:
    """Number of replicas -> time of their common step divided by that of as many separate ones; median and quartiles.

    The common step of a round is compared with the separate step of that round.
    """
    alone = report["ms"][ALONE]
    return {
        int(name): spread([ratio / int(name) for ratio in ratios(times, alone)])
        for name, times in report["ms"].items()
        if name != ALONE
    }


def page(report: dict[str, Any]) -> list[str]:
    """The times as Markdown, a line for each number of replicas."""
    s, lines = report["settings"], []
    layers = "all" if s["layers"] == s["of_layers"] else f"{s['layers']} of"
    tokens, alone = s["batch"] * s["length"], spread(report["ms"][ALONE])[0]
    for replicas, (ratio, lower, upper) in gains(report).items():
        time = spread(report["ms"][str(replicas)])[0]
        peaks = [f"{sum(report['memory'][name].values()) / 1e6:,.0f}" for name in (str(replicas), ALONE)]
        times = [f"{time:,.1f}", f"{replicas * alone:,.1f}", f"{ratio:.2f}", f"{lower:.2f}-{upper:.2f}"]
        lines.append([replicas, *times, f"{1e3 * replicas * tokens / time:,.0f}", *peaks])
    header = ["Replicas", "ms at once", "ms one by one", "Ratio", "Quartiles", "Tokens/s", "Peak MB", "Peak MB of one"]
    return [
        f"Several seeds of {STEP[s['row']].title} in one training step, on the shapes of {s['model']} ({layers} "
        f"{s['of_layers']} layers, random weights), batch {s['batch']} x {s['length']} of each, {s['precision']}. "
        f"Times: median of {plural(s['rounds'], 'interleaved round')}.",
        "",
        *table(header, lines, text=0),
        "",
        "- Ratio: to as many separate steps of the same round. Below 1.00 the common step is faster.",
        f"- Checked before: {report['check']['replicas']} replicas at once have the losses and gradients of separate "
        f"models, to {report['check']['difference']:.0e} of the largest (float64, without dropout).",
    ]
