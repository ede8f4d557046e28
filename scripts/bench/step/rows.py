"""What is measured side by side: each row is a choice of the suite's own settings, as `python run.py` takes them."""

from dataclasses import dataclass

from dcft.errors import UserError


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Args:
        title: as printed.
        settings: of conf/, the method and its knobs.
        variant: "plain" (attention as Transformers has it), "official" (DCFT as the official code computes it) or
            "merged" (adapters merged into the weights); empty: as the suite runs it.
        same_as: the row whose outputs this one must have, computed another way.
    """

    title: str
    settings: tuple[str, ...]
    variant: str = ""
    same_as: str = ""


_HEAD_ONLY = ("method=full", "+method.trainable=[]")  # the suite trains the head with every method
_DCFT = ("method=dcft", "kernel=8")
_LORA = ("method=lora", "rank=1")

STEP_FLOOR, EVALUATION_FLOOR = "frozen", "bare"
STEP = {
    STEP_FLOOR: Row("Frozen backbone", _HEAD_ONLY),
    "frozen-plain": Row("Frozen backbone, plain attention", _HEAD_ONLY, "plain", STEP_FLOOR),
    "dcft-d2": Row("DCFT d=2", ("method=dcft", "kernel=2")),
    "dcft-d8": Row("DCFT d=8", _DCFT),
    "dcft-d8-s4": Row("DCFT d=8 s=4", (*_DCFT, "stride=4")),
    "dcft-d8-s2": Row("DCFT d=8 s=2", (*_DCFT, "stride=2")),
    "dcft-d8-s1": Row("DCFT d=8 s=1", (*_DCFT, "stride=1")),
    "lora-r1": Row("LoRA r=1 (PEFT)", _LORA),
    "lora-r8": Row("LoRA r=8 (PEFT)", ("method=lora", "rank=8")),
    "official-d8": Row("DCFT d=8, as the official code", _DCFT, "official", "dcft-d8"),
    "official-d8-s1": Row("DCFT d=8 s=1, as the official code", (*_DCFT, "stride=1"), "official", "dcft-d8-s1"),
    "full": Row("Full fine-tuning", ("method=full",)),
}
EVALUATION = {
    EVALUATION_FLOOR: Row("Bare backbone", _HEAD_ONLY),
    "dcft-unmerged": Row("DCFT d=8, not merged", _DCFT),
    "dcft-merged": Row("DCFT d=8, merged", _DCFT, "merged", "dcft-unmerged"),
    "lora-unmerged": Row("LoRA r=1 (PEFT), not merged", _LORA),
}
LAYER = [name for name in STEP if name not in ("frozen-plain", "full")]


def choose(names: list[str] | None) -> tuple[dict[str, Row], dict[str, Row]]:
    """The rows of a step and those of an evaluation among some names; None: all. Floors come with their rows.

    Raises:
        UserError: for a name that no row has.
    """
    known = STEP | EVALUATION
    for name in names or []:
        if name not in known:
            raise UserError(f"--rows {name}: there is no such row; give some of {', '.join(known)}")
    chosen = []
    for rows, floor in ((STEP, STEP_FLOOR), (EVALUATION, EVALUATION_FLOOR)):
        some = {name: row for name, row in rows.items() if names is None or name in names}
        chosen.append({floor: rows[floor]} | some if some else {})
    return chosen[0], chosen[1]
