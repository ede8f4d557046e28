"""The suite's options for a GPU (`attention=flash`, `compile=true`, `precision=bf16`) on the same training step.

Each combination is a row, all of DCFT d=8; a round runs every row once. What compiling takes is not in the times.
"""

import argparse
from typing import TYPE_CHECKING, Any

from bench.command import positive
from bench.output import plural, publish, table
from bench.step import LARGE, LONGEST, MODELS, TINY
from bench.step.rows import STEP
from bench.timing import choose_device, ratios, spread
from dcft.errors import RunFailed, UserError

if TYPE_CHECKING:
    import torch

    from bench.step.workload import Workload
    from dcft.config.cell import RunConfig

ROW = "dcft-d8"
FLASH, COMPILE, BF16 = "attention=flash", "compile=true", "precision=bf16"
DEFAULT = "default"  # attention=lean, not compiled, fp32
OPTIONS = {  # name of the row -> what is switched on
    " ".join(settings) or DEFAULT: settings
    for settings in [
        *[(), (BF16,), (COMPILE,), (FLASH,)],
        *[(COMPILE, BF16), (FLASH, BF16), (FLASH, COMPILE), (FLASH, COMPILE, BF16)],
    ]
}
ROUNDING = 1e-2  # of the largest output; products in TF32 would make 1e-3
SETTINGS = ("model", "batch", "length", "rounds", "warmup")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    models = MODELS + LARGE + TINY
    add("--model", default=MODELS[0], choices=models, metavar="MODEL", help=f"one of {', '.join(models)}")
    add("--without", nargs="+", default=[], choices=[FLASH, COMPILE, BF16], help="options to leave out")
    add("--batch", type=positive, default=32, help="sequences in a batch")
    add("--length", type=positive, default=128, help="tokens of each sequence")
    add("--rounds", type=positive, default=5, help="number of times that each row is timed")
    add("--warmup", type=positive, default=2, help="number of steps of each row before it is timed")
    add("--device", choices=["cpu", "cuda"], help="default: cuda if there is a GPU; on a CPU flash is not its kernels")


def main(arguments: argparse.Namespace) -> None:
    """Measure and publish.

    Raises:
        UserError: for settings that cannot be measured.
    """
    device = choose_device(arguments.device)
    if arguments.length > LONGEST:
        raise UserError(f"--length {arguments.length}: give 1 to {LONGEST} tokens")
    settings = {name: getattr(arguments, name) for name in SETTINGS} | {"device": device.type}
    report = {"settings": settings, **measure(arguments, device)}
    name = f"options-{arguments.model}-b{arguments.batch}x{arguments.length}-{device.type}"
    publish(arguments.output, name, report, page)


def measure(arguments: argparse.Namespace, device: "torch.device") -> dict[str, Any]:
    """Time the steps.

    Returns:
        `ms`: times of all rounds by name of the row. `memory`: as `bench.step.memory.peak` has it. `skipped`: options
        and rows that cannot be measured here, with the reason.
    """
    import warnings

    import torch

    from bench.replicas import steps
    from bench.step import checks, memory
    from bench.timing import interleave

    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # about calls of its own
    torch.manual_seed(0)
    backbone = steps.frozen_backbone(arguments.model, None, device)
    config = steps.configure(arguments.model, ROW)
    batch = steps.random_batch(backbone, arguments.batch, arguments.length)
    batch["labels"] = torch.zeros_like(batch["labels"])  # of one class, so that gradients cannot cancel
    skipped = dict.fromkeys(arguments.without, "left out") | _missing(backbone, device, arguments.without)
    names = [name for name, settings in OPTIONS.items() if not skipped.keys() & {*settings}]
    workloads = {}
    for name in names:
        try:
            workload = _workload(name, backbone, config, batch)
            if name == DEFAULT:
                expected = workload.logits()
            if name == FLASH:
                _require_same(workload.logits(), expected)
            for _ in range(arguments.warmup):
                workload()
            checks.gradients(workload)
            workloads[name] = workload
        except Exception as error:  # of a compiler, of kernels, or memory that is used up: the other rows stay
            if name == DEFAULT:
                raise
            skipped[name] = (str(error).strip() or type(error).__name__).splitlines()[0]
    peaks = {name: memory.peak(w.model, w.optimizer, w, device) for name, w in workloads.items()}
    times = interleave(workloads, arguments.rounds, device, f"{arguments.model} options")
    for workload in workloads.values():
        checks.finite(workload)
    return {"ms": times, "memory": peaks, "skipped": skipped}


def _missing(backbone: Any, device: "torch.device", without: list[str]) -> dict[str, str]:
    """Options that cannot be measured here, with the reason."""
    import importlib.util

    import torch

    from dcft.backbones import compilation, flash_attention

    missing = {}
    if backbone.config.model_type != "deberta-v2":
        missing[FLASH] = "it is DeBERTa's"
    elif importlib.util.find_spec(flash_attention.PACKAGE) is None:
        missing[FLASH] = f"no package {flash_attention.PACKAGE}"
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        missing[BF16] = "the GPU does not compute in bfloat16"
    if COMPILE not in without:
        try:
            compilation.require()
        except UserError as error:
            missing[COMPILE] = str(error)
    return missing


def _workload(name: str, backbone: Any, config: "RunConfig", batch: dict[str, "torch.Tensor"]) -> "Workload":
    """The step of one combination, on the backbone's weights."""
    from bench.step import backbones
    from bench.step.workload import Workload
    from dcft.backbones import compilation, flash_attention, load

    settings, attention = OPTIONS[name], "lean"
    if FLASH in settings:
        backbone, attention = backbones.share(backbone, []), "plain"  # which leaves the package's classes as they are
        flash_attention.use(backbone, "triton" if batch["labels"].is_cuda else "torch")
    precision = "bf16" if BF16 in settings else "fp32"
    workload = Workload(name, STEP[ROW], backbone, config, batch, attention, precision=precision)
    if COMPILE in settings:
        compilation.use(load.layers(workload.model))
    return workload


def _require_same(outputs: "torch.Tensor", expected: "torch.Tensor") -> None:
    """Raise RunFailed if outputs differ by more than the kernels' rounding; the tests hold them closely."""
    difference = float((outputs - expected).abs().max() / expected.abs().max())
    if not difference <= ROUNDING:
        raise RunFailed(f"its outputs differ by {difference:.0e} of the largest")


def page(report: dict[str, Any]) -> list[str]:
    """The times as Markdown, a line for each combination."""
    s, lines = report["settings"], []
    for name, times in report["ms"].items():
        time, (ratio, lower, upper) = spread(times)[0], spread(ratios(times, report["ms"][DEFAULT]))
        peak = sum(report["memory"][name].values()) / 1e6
        tokens = f"{1e3 * s['batch'] * s['length'] / time:,.0f}"
        lines.append([name, f"{time:,.1f}", f"{ratio:.2f}", f"{lower:.2f}-{upper:.2f}", tokens, f"{peak:,.0f}"])
    return [
        f"Options on a training step of {STEP[ROW].title}: shapes of {s['model']} (random weights), batch {s['batch']} "
        f"x {s['length']}. Times: median of {plural(s['rounds'], 'interleaved round')}.",
        "",
        *table(["Switched on", "ms", "Ratio", "Quartiles", "Tokens/s", "Peak MB"], lines),
        "",
        *[f"- {option} was not measured: {reason}." for option, reason in report["skipped"].items()],
    ]
