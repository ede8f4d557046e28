"""What must hold before a time is worth anything: adapters take part, gradients arrive, variants compute the same.

A row that fails ends the measurement; nothing is written.
"""

import math

from torch import Tensor

from bench.step.workload import Workload
from dcft.errors import RunFailed

SAME, DIFFERENT = 1e-4, 1e-3  # of the largest output; float32 leaves 1e-6, the redrawn adapters change 1e-2 and more


def outputs(works: dict[str, Workload], floor: str) -> None:
    """Every adapter changes the backbone's outputs, and every variant has those of the row that it is a variant of.

    Raises:
        RunFailed: names the row.
    """
    logits = {name: work.logits() for name, work in works.items()}
    for name, work in works.items():
        if work.adapted and _difference(logits[name], logits[floor]) < DIFFERENT:
            raise RunFailed(f"row {name}: its adapter does not change the outputs; it is bypassed")
        other = work.row.same_as
        if other in logits and _difference(logits[name], logits[other]) > SAME:
            raise RunFailed(f"row {name}: its outputs are not those of row {other}")


def _difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


def reaches_embeddings(floor: Workload) -> None:
    """The floor's gradients go through every layer, to the embeddings.

    Raises:
        RunFailed: if they do not.
    """
    found = []
    hook = floor.model.get_input_embeddings().register_forward_hook(lambda _, inputs, output: found.append(output))
    floor()
    hook.remove()
    if not found or found[0].grad is None or not found[0].grad.any():
        raise RunFailed(f"row {floor.name}: no gradient reaches the embeddings")


def gradients(work: Workload) -> None:
    """After steps as they are timed: every trainable parameter has had a gradient that is not zero.

    AdamW's averages tell: they move with every gradient but zero.

    Raises:
        RunFailed: names the row and the parameter.
    """
    for name, parameter in work.model.named_parameters():
        average = work.optimizer.state[parameter].get("exp_avg") if parameter.requires_grad else None
        if parameter.requires_grad and (average is None or not average.any()):
            raise RunFailed(f"row {work.name}: {name} gets no gradient")


def finite(work: Workload) -> None:
    """The last loss is a number.

    Raises:
        RunFailed: names the row.
    """
    if work.loss is None or not math.isfinite(work.loss.item()):
        raise RunFailed(f"row {work.name}: its loss is no finite number")
