"""From a method's name to a model that is ready to train, and what the trainer must do beyond the loss.

A method that PEFT (or a tuner of ours) can build needs only its YAML file: `method.peft` names the PEFT type and the
arguments of its configuration class. A method with special steps registers a function in `HOOKS` that returns them, so
that training itself never asks which method it runs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields

import torch
from peft import PeftModel, TaskType, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from torch import Tensor, nn
from transformers import PreTrainedModel, TrainerCallback

from dcft.config import RunConfig
from dcft.errors import UserError
from dcft.tuners import orthogonality_loss

SPAN_HEAD = ["qa_outputs"]  # what every question answering model in transformers calls its head


@dataclass
class Hooks:
    """What a method asks of the trainer: callbacks, a penalty on top of the loss, an optimiser of its own."""

    callbacks: list[TrainerCallback] = field(default_factory=list)
    penalty: Callable[[], Tensor] | None = None
    optimizer: torch.optim.Optimizer | None = None


@dataclass
class Prepared:
    """A model whose trainable parameters are exactly the method's and the head's."""

    model: nn.Module
    hooks: Hooks
    params: dict[str, int]  # adapter, head, trainable, total


def prepare(model: PreTrainedModel, config: RunConfig) -> Prepared:
    """Adapt a backbone by the configured method.

    Args:
        model: a backbone with a fresh head; it is changed in place.
        config: the run; its method, target matrices and head.

    Returns:
        The model, its hooks, and how many parameters train: `adapter` (the method's own), `head` (new for the task,
        trained by every method and not counted by the paper), `trainable` (both) and `total` (backbone and head).

    Raises:
        UserError: if the method's settings do not fit it or the backbone.
    """
    total = sum(parameter.numel() for parameter in model.parameters())
    head = SPAN_HEAD if config.task.kind == "span" else config.model.head
    if config.method.peft is not None:
        model = _adapt(model, config, head)
    hooks = HOOKS.get(config.method.name, lambda model, config: Hooks())(model, config)
    trained = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    in_head = sum(n for name, n in trained.items() if set(name.split(".")) & set(head))
    trainable = sum(trained.values())
    counts = {"adapter": trainable - in_head, "head": in_head, "trainable": trainable, "total": total}
    return Prepared(model, hooks, counts)


def _adapt(model: PreTrainedModel, config: RunConfig, head: list[str]) -> PeftModel:
    arguments = dict(config.method.peft)
    kind = str(arguments.pop("peft_type")).upper()
    if kind not in PEFT_TYPE_TO_CONFIG_MAPPING:
        raise UserError(f"method.peft.peft_type={kind}: PEFT has no such method")
    config_class = PEFT_TYPE_TO_CONFIG_MAPPING[kind]
    unknown = set(arguments) - {field.name for field in fields(config_class)}
    if unknown:
        raise UserError(f"method.peft.{sorted(unknown)[0]} is not a setting of {config_class.__name__}")
    task_type = TaskType.QUESTION_ANS if config.task.kind == "span" else TaskType.SEQ_CLS
    try:
        peft_config = config_class(
            target_modules=config.target_modules, modules_to_save=list(head), task_type=task_type, **arguments
        )
        return get_peft_model(model, peft_config)
    except (TypeError, ValueError) as error:
        raise UserError(f"method={config.method.name}: {' '.join(str(error).split())}") from error


def _dcft(model: nn.Module, config: RunConfig) -> Hooks:
    term = config.method.orthogonality
    if not term or term.coefficient == 0:
        return Hooks()
    return Hooks(penalty=lambda: term.coefficient * orthogonality_loss(model, term.form))


HOOKS: dict[str, Callable[[nn.Module, RunConfig], Hooks]] = {"dcft": _dcft}
