"""From a method's name to a model that is ready to train, and what the trainer must do beyond the loss.

A method that PEFT (or a tuner of ours) can build needs only its YAML file: `method.peft` names the PEFT type and the
arguments of its configuration class. For a tuner of another package, `method.module` names its import.
What a method does beyond the loss (a penalty, steps after the optimiser's) follows from its settings and its layers,
never from its name, and training is handed it as `Hooks`.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

import torch
from peft import PeftModel, TaskType, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.optimizers import create_lorafa_optimizer
from peft.tuners.adalora.layer import AdaLoraLayer
from peft.tuners.lora import LoraLayer
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn
from transformers import PreTrainedModel, TrainerCallback

from dcft.backbones import load
from dcft.config.cell import RunConfig
from dcft.errors import UserError, shown
from dcft.results.record import Params
from dcft.training.callbacks import BudgetAllocation, SoftThreshold, StateOnDevice
from dcft.tuners import sora
from dcft.tuners.dcft import DcftLayer, orthogonality_loss

SPAN_HEAD = ["qa_outputs"]  # what every question answering model in transformers calls its head


@dataclass
class Hooks:
    """What a method asks of the trainer beyond gradient descent on the task's loss."""

    callbacks: list[TrainerCallback] = field(default_factory=list)
    penalty: Callable[[], Tensor] | None = None  # added to the loss of each batch
    optimizer: torch.optim.Optimizer | None = None
    groups: dict[str, dict[str, float]] = field(default_factory=dict)  # part of parameters' names -> AdamW's settings
    kept: Callable[[], int] | None = None  # adapter parameters that are left after pruning


@dataclass
class Prepared:
    """A model whose trainable parameters are exactly the method's and the head's."""

    model: nn.Module
    hooks: Hooks
    params: Params


def prepare(model: PreTrainedModel, config: RunConfig) -> Prepared:
    """Adapt a backbone by the configured method.

    Args:
        model: a backbone with a fresh head; it is changed in place.
        config: the run; its method, target matrices and head.

    Returns:
        The model, its hooks, and how many parameters train. The head is new for the task, trained by every method and
        not counted by the paper.

    Raises:
        UserError: if the method's settings do not fit it or the backbone.
    """
    total = sum(parameter.numel() for parameter in model.parameters())
    head = head_of(config)
    if config.method.peft is not None:
        model = _adapt(model, config, head)
    for name, parameter in model.named_parameters():
        if is_part(name, config.method.freeze):
            parameter.requires_grad = False
        elif config.method.trainable is not None:
            parameter.requires_grad = is_part(name, head) or name.endswith(tuple(config.method.trainable))
    hooks = _hooks(model, config)
    trained = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    in_head = sum(n for name, n in trained.items() if is_part(name, head))
    trainable = sum(trained.values())
    return Prepared(model, hooks, Params(trainable - in_head, in_head, trainable, total))


def head_of(config: RunConfig) -> list[str]:
    """The modules that are new for the task, train with every method and are saved with the adapter."""
    return SPAN_HEAD if config.task.kind == "span" else config.model.head


def is_part(name: str, modules: list[str]) -> bool:
    """Whether a parameter, by its dotted name, lies in one of the modules."""
    return not set(name.split(".")).isdisjoint(modules)


def _adapt(model: PreTrainedModel, config: RunConfig, head: list[str]) -> PeftModel:
    arguments = {"target_modules": config.target_modules, "modules_to_save": list(head)} | config.method.peft
    arguments["task_type"] = TaskType.QUESTION_ANS if config.task.kind == "span" else TaskType.SEQ_CLS
    if config.method.module:
        _import(config.method.module)
    kind = str(arguments.pop("peft_type")).upper()
    if kind not in PEFT_TYPE_TO_CONFIG_MAPPING:
        owners = f"neither PEFT nor method.module={config.method.module}" if config.method.module else "PEFT"
        raise UserError(f"method.peft.peft_type={kind}: {owners} has no such method")
    config_class = PEFT_TYPE_TO_CONFIG_MAPPING[kind]
    unknown = set(arguments) - {field.name for field in fields(config_class)}
    if unknown:
        raise UserError(f"method.peft.{sorted(unknown)[0]} is not a setting of {config_class.__name__}")
    _refuse_wrong_types(arguments, config_class)
    for name in sorted(arguments["target_modules"] or []):  # PEFT itself asks for one match of all
        if not any(f".{module}".endswith(f".{name}") for module, _ in model.named_modules()):
            raise UserError(f"model={config.model.name} has no module {shown(name)} to adapt; mend model.matrices")
    try:
        _, revision = load.location(config.model)  # saved with the adapter, so that it is loaded onto the same weights
        adapted = get_peft_model(model, config_class(**arguments), revision=revision)
    except (TypeError, ValueError) as error:
        raise UserError(f"method={config.method.name}: {' '.join(str(error).split())}") from error
    made = adapted.peft_config["default"]
    if isinstance(made.target_modules, set):  # whose order, in the saved file, would be another in each process
        made.target_modules = sorted(made.target_modules)
    return adapted


def _refuse_wrong_types(arguments: dict[str, Any], config_class: type) -> None:
    """PEFT would compute with some and stop in the middle of a run at others."""
    types = get_type_hints(config_class)
    for name, value in arguments.items():
        try:
            TypeAdapter(types[name]).validate_python(value, strict=True)
        except ValidationError as error:
            message = error.errors(include_url=False)[0]["msg"]
            raise UserError(f"method.peft.{name}={shown(value)}: {message}") from error


def _import(module: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"method.module={module} cannot be imported ({error}); install its package, or put its folder on PYTHONPATH"
        ) from error


def _hooks(model: nn.Module, config: RunConfig) -> Hooks:
    """What the method's settings ask of the trainer; settings that the adapter has no use for are refused."""
    method, hooks = config.method, Hooks()
    if method.orthogonality and method.orthogonality.coefficient:
        term = method.orthogonality
        _refuse_unless(_has(model, DcftLayer), "method.orthogonality", "DCFT")
        layers = [module for module in model.modules() if isinstance(module, DcftLayer)]
        hooks.penalty = lambda: term.coefficient * orthogonality_loss(layers, term.form)
    if method.sparsity:
        _refuse_unless(_has(model, sora.SoraLayer), "method.sparsity", "SORA")
        hooks.callbacks.append(SoftThreshold(sora.gates(model), method.sparsity.thresholds))
        hooks.penalty = lambda: method.sparsity.penalty * sora.gate_penalty(model)
        hooks.groups["sora_gate"] = {"weight_decay": 0.0}  # SoftThreshold sets its epsilon
        hooks.kept = lambda: sora.kept_parameters(model)
    if _has(model, AdaLoraLayer):
        start, end = model.peft_config["default"].init_r, model.peft_config["default"].target_r
        if start <= end:
            raise UserError(
                f"method.peft.init_r={start}: AdaLoRA cuts ranks down to rank={end}; give at least {end + 1}"
            )
        if model.peft_config["default"].tfinal < 1:
            raise UserError(
                "method.peft.tfinal=0: AdaLoRA's last cut comes so many steps before the end; give at least 1"
            )
        allocation = BudgetAllocation(model)
        hooks.callbacks.append(allocation)
        hooks.kept = allocation.kept_parameters
    if method.optimizer == "lorafa":
        _refuse_unless(_has(model, LoraLayer) and not _has(model, AdaLoraLayer), "method.optimizer", "LORA")
        lora, train = model.peft_config["default"], config.train
        hooks.optimizer = create_lorafa_optimizer(model, lora.r, lora.lora_alpha, train.lr, train.weight_decay)
        hooks.callbacks.append(StateOnDevice())
    elif method.optimizer is not None:
        raise UserError(f"method.optimizer={method.optimizer}: give lorafa (PEFT's), or null for AdamW")
    return hooks


def _has(model: nn.Module, layer: type) -> bool:
    return any(isinstance(module, layer) for module in model.modules())


def _refuse_unless(good: bool, setting: str, peft_type: str) -> None:
    if not good:
        raise UserError(f"{setting} is a setting for method.peft.peft_type={peft_type}; leave it out")
