"""Checks before a time counts: adapters change the outputs, gradients arrive, variants compute the same.

A failed check ends the measurement; nothing is written.
"""

import math

from torch import Tensor

from bench.step.workload import Workload
from dcft.errors import RunFailed

# Relative to the largest output. Rounding in float32 makes 1e-6; the redrawn adapters change 1e-2 and more.
SAME, DIFFERENT = 1e-4, 1e-3


def outputs(workloads: dict[str, Workload], floor: str) -> None:
    """Every adapter changes the backbone's outputs, and every variant has the outputs of its counterpart.

    Args:
        workloads: by row name, before their first step.
        floor: name of the row without an adapter.

    Raises:
        RunFailed: names the row.
    """
    logits = {name: workload.logits() for name, workload in workloads.items()}
    for name, workload in workloads.items():
        if workload.adapted and _difference(logits[name], logits[floor]) < DIFFERENT:
            raise RunFailed(f"row {name}: its adapter does not change the outputs; it is bypassed")
        counterpart = workload.row.same_as
        if counterpart in logits and _difference(logits[name], logits[counterpart]) > SAME:
            raise RunFailed(f"row {name}: its outputs are not those of row {counterpart}")


def _difference(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).abs().max() / expected.abs().max())


def reaches_embeddings(floor: Workload) -> None:
    """The floor's gradients reach the embeddings, so they pass through every layer.

    Raises:
        RunFailed: if they do not.
    """
    embeddings = []
    module = floor.model.get_input_embeddings()
    hook = module.register_forward_hook(lambda _, inputs, output: embeddings.append(output))
    floor()
    hook.remove()
    if not embeddings or embeddings[0].grad is None or not embeddings[0].grad.any():
        raise RunFailed(f"row {floor.name}: no gradient reaches the embeddings")


def gradients(workload: Workload) -> None:
    """Every trainable parameter has had a gradient other than zero, in steps as they are timed.

    AdamW's averages show it: they stay zero only while the gradient is zero.

    Raises:
        RunFailed: names the row and the parameter.
    """
    for name, parameter in workload.model.named_parameters():
        average = workload.optimizer.state[parameter].get("exp_avg") if parameter.requires_grad else None
        if parameter.requires_grad and (average is None or not average.any()):
            raise RunFailed(f"row {workload.name}: {name} gets no gradient")


def finite(workload: Workload) -> None:
    """The last loss is a finite number.

    Raises:
        RunFailed: names the row.
    """
    if workload.loss is None or not math.isfinite(workload.loss.item()):
        raise RunFailed(f"row {workload.name}: its loss is not a finite number")
