"""The rows that are measured side by side: the suite's own settings, as `python run.py` takes them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BenchRow:
    """A row of a table.

    Args:
        title: as printed.
        settings: the method and its knobs, `key=value` each.
        variant: another computation than the suite's: "plain" (attention and dropout of Transformers), "official" (DCFT
            as the official code computes it) or "merged" (adapters merged into the weights). Empty: the suite's.
        same_as: name of the row whose outputs a variant must have.
    """

    title: str
    settings: tuple[str, ...]
    variant: str = ""
    same_as: str = ""


PARTS = {  # name -> title
    "step": "One training step (forward, backward, optimiser)",
    "evaluation": "One forward pass of evaluation",
    "layer": "One linear layer, forward and backward",
    "budget": "Where the time of a step goes, in ms",
}
_HEAD_ONLY = ("method=full", "+method.trainable=[]")  # the suite trains the head with every method
_DCFT = ("method=dcft", "kernel=8")
_LORA = ("method=lora", "rank=1")

STEP_FLOOR, EVALUATION_FLOOR = "frozen", "bare"
FULL = "full"
BUDGETS = (STEP_FLOOR, "dcft-d8", "lora-r1")  # rows whose steps are profiled, on a CPU
STEP = {
    STEP_FLOOR: BenchRow("Frozen backbone", _HEAD_ONLY),
    "frozen-plain": BenchRow("Frozen backbone, as Transformers computes it", _HEAD_ONLY, "plain", STEP_FLOOR),
    "dcft-d2": BenchRow("DCFT d=2", ("method=dcft", "kernel=2")),
    "dcft-d4": BenchRow("DCFT d=4", ("method=dcft", "kernel=4")),
    "dcft-d6": BenchRow("DCFT d=6", ("method=dcft", "kernel=6")),
    "dcft-d8": BenchRow("DCFT d=8", _DCFT),
    "dcft-d12": BenchRow("DCFT d=12", ("method=dcft", "kernel=12")),
    "dcft-d8-s4": BenchRow("DCFT d=8 s=4", (*_DCFT, "stride=4")),
    "dcft-d8-s2": BenchRow("DCFT d=8 s=2", (*_DCFT, "stride=2")),
    "dcft-d8-s1": BenchRow("DCFT d=8 s=1", (*_DCFT, "stride=1")),
    "lora-r1": BenchRow("LoRA r=1 (PEFT)", _LORA),
    "lora-r8": BenchRow("LoRA r=8 (PEFT)", ("method=lora", "rank=8")),
    "official-d8": BenchRow("DCFT d=8, as the official code", _DCFT, "official", "dcft-d8"),
    "official-d8-s4": BenchRow("DCFT d=8 s=4, as the official code", (*_DCFT, "stride=4"), "official", "dcft-d8-s4"),
    "official-d8-s2": BenchRow("DCFT d=8 s=2, as the official code", (*_DCFT, "stride=2"), "official", "dcft-d8-s2"),
    "official-d8-s1": BenchRow("DCFT d=8 s=1, as the official code", (*_DCFT, "stride=1"), "official", "dcft-d8-s1"),
    FULL: BenchRow("Full fine-tuning", ("method=full",)),
}
EVALUATION = {
    EVALUATION_FLOOR: BenchRow("Bare backbone", _HEAD_ONLY),
    "dcft-unmerged": BenchRow("DCFT d=8, not merged", _DCFT),
    "dcft-merged": BenchRow("DCFT d=8, merged", _DCFT, "merged", "dcft-unmerged"),
    "lora-unmerged": BenchRow("LoRA r=1 (PEFT), not merged", _LORA),
}
LAYER = [name for name in STEP if name not in ("frozen-plain", FULL)]


def choose(names: list[str] | None) -> tuple[dict[str, BenchRow], dict[str, BenchRow]]:
    """The rows of a step and those of an evaluation that have these names; None: all. A floor comes with its rows."""
    chosen = []
    for rows, floor in ((STEP, STEP_FLOOR), (EVALUATION, EVALUATION_FLOOR)):
        some = {name: row for name, row in rows.items() if names is None or name in names}
        chosen.append({floor: rows[floor]} | some if some else {})
    return chosen[0], chosen[1]
