"""What the tuners here share: a PEFT config for linear layers, a layer around each of them, and the model around all.

A tuner of one's own needs a config, a layer, a model and a call of `register`, in any package: see docs/extending.md.

PEFT dispatches by plain dictionaries; `register` adds to them. That is no promised interface, so PEFT is pinned to one
minor version and the round-trip tests are the alarm.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import torch
from peft import PeftConfig
from peft.mapping import (
    PEFT_TYPE_TO_CONFIG_MAPPING,
    PEFT_TYPE_TO_PREFIX_MAPPING,
    PEFT_TYPE_TO_TUNER_MAPPING,
)
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from peft.utils.peft_types import PeftType
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D


class TunerType(str):
    """A tuner's name where PEFT expects a member of its enum, which cannot be extended: it has a `value`."""

    @property
    def value(self) -> str:
        return str(self)


@dataclass
class LinearTunerConfig(PeftConfig):
    """Which linear layers a tuner adapts. A subclass sets `tuner_type`, the tuner's name in capitals.

    Args:
        target_modules: names (suffixes) of the linear layers to adapt, or a regular expression.
        exclude_modules, layers_to_transform, layers_pattern, modules_to_save: as in every PEFT config.
    """

    tuner_type: ClassVar[str]

    target_modules: list[str] | set[str] | str | None = None
    exclude_modules: list[str] | set[str] | str | None = None
    layers_to_transform: list[int] | int | None = None
    layers_pattern: list[str] | str | None = None
    modules_to_save: list[str] | None = field(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = cast(PeftType, TunerType(self.tuner_type))
        # PEFT compares target names as a set (the order means nothing) and writes it to adapter_config.json as a list.
        if isinstance(self.target_modules, list):
            self.target_modules = set(self.target_modules)
        if isinstance(self.exclude_modules, list):
            self.exclude_modules = set(self.exclude_modules)

    def require_positive(self, *names: str) -> None:
        """Raise ValueError for the first of these settings that is below 1."""
        for name in names:
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give a whole number of at least 1")


class LinearTunerLayer(nn.Module, BaseTunerLayer):
    """Something around a frozen linear layer. Subclasses name their parameters, add them and say what they compute.

    A subclass may stand around a block that ends in a linear layer instead: it then says what it `fits`, and which
    layer of the block is the `linear` one.
    """

    adapts: ClassVar[str] = "torch.nn.Linear only"  # for the error about a module that does not fit

    in_features: int
    out_features: int

    def __init__(self, base_layer: nn.Module, adapter_name: str) -> None:
        super().__init__()
        self.base_layer = base_layer
        for name in self.adapter_layer_names:
            setattr(self, name, nn.ParameterDict())
        for name in self.other_param_names:
            setattr(self, name, {})
        self.merged_adapters: list[str] = []
        self._active_adapter = adapter_name
        self.transposed = isinstance(self.linear, Conv1D)  # GPT-2's linear layer: its weight is in x out
        if self.transposed:
            self.in_features, self.out_features = self.linear.weight.shape
        else:
            self.in_features, self.out_features = self.linear.in_features, self.linear.out_features

    @staticmethod
    def fits(module: nn.Module) -> bool:
        """Whether this kind of layer can stand around a module."""
        return isinstance(module, nn.Linear)

    def get_base_layer(self) -> nn.Linear:
        """The frozen linear layer, below any other adapter's."""
        return cast(nn.Linear, super().get_base_layer())

    @property
    def linear(self) -> Any:
        """The linear layer whose sizes the adapter has."""
        return self.get_base_layer()

    def add_adapter(self, adapter_name: str, config: LinearTunerConfig, module_name: str) -> None:
        """Add one adapter's parameters, in float32 whatever the layer's own type.

        Raises:
            ValueError: if the adapter does not fit this layer; the message has `module_name`.
        """
        tensors = self.create_parameters(config, module_name)
        for name, tensor in tensors.items():
            getattr(self, name)[adapter_name] = nn.Parameter(tensor.to(torch.float32))
        for name in self.other_param_names:
            getattr(self, name)[adapter_name] = getattr(config, name)
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def create_parameters(self, config: Any, module_name: str) -> dict[str, Tensor]:
        """Initial values of a new adapter's parameters, by name; `config` is of the tuner's own class."""
        raise NotImplementedError

    def has(self, adapter_name: str) -> bool:
        return adapter_name in getattr(self, self.adapter_layer_names[0])

    def __repr__(self) -> str:
        return f"dcft.{super().__repr__()}"


class LinearTunerModel(BaseTuner):
    """Puts a tuner's layer around every linear layer that its config targets."""

    tuner_layer_cls: type[LinearTunerLayer]
    target_module_mapping: dict[str, list[str]] = {}  # no guess: papers differ in what they adapt

    def _create_and_replace(
        self,
        peft_config: Any,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        if isinstance(target, self.tuner_layer_cls):
            target.add_adapter(adapter_name, peft_config, current_key)
            return
        base = target.get_base_layer() if isinstance(target, BaseTunerLayer) else target
        if not self.tuner_layer_cls.fits(base):
            kind, adapts = type(base).__name__, self.tuner_layer_cls.adapts
            raise TypeError(f"{current_key} is a {kind}: {peft_config.peft_type.value} adapts {adapts}")
        layer = self.tuner_layer_cls(target, adapter_name)
        layer.add_adapter(adapter_name, peft_config, current_key)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)  # an additional adapter is trainable only once it is set active
        self._replace_module(parent, target_name, layer, target)

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        # Unloading: PEFT's version looks for a weight on what it unwraps, which neither DeBERTa's pooler (one of
        # modules_to_save; huggingface/peft#3114) nor an output block has.
        if isinstance(child, AuxiliaryTrainingWrapper) or getattr(child, "base_layer", None) is new_module:
            setattr(parent, child_name, new_module)
        else:
            super()._replace_module(parent, child_name, new_module, child)


def register(config: type[LinearTunerConfig], model: type[LinearTunerModel]) -> None:
    """Make `get_peft_model` and `PeftModel.from_pretrained` know a tuner.

    Args:
        config: its `tuner_type` names the tuner.
        model: its `prefix` begins the name of every parameter of the tuner; PEFT saves what has it in its name.

    Raises:
        ValueError: if PEFT has a method of that name, or the name is not in capitals, as PEFT's are.
    """
    name = TunerType(config.tuner_type)
    if name in list(PeftType) or name != name.upper():
        raise ValueError(f"tuner_type={name}: give a name in capitals that PEFT does not have")
    key = cast(PeftType, name)  # PEFT looks it up by its hash, which is that of the name
    PEFT_TYPE_TO_CONFIG_MAPPING[key] = config
    PEFT_TYPE_TO_TUNER_MAPPING[key] = model
    PEFT_TYPE_TO_PREFIX_MAPPING[key] = model.prefix
