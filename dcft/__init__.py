"""DCFT: parameter-efficient fine-tuning via deconvolution in subspace, and the suite that reproduces its paper.

    from dcft import DcftConfig
    model = peft.get_peft_model(model, DcftConfig(kernel_size=8, target_modules=["query", "value"]))

Importing this package registers DCFT, SoRA and bottleneck adapters with PEFT (as soon as PEFT itself is imported), so
that `PeftModel.from_pretrained` and `AutoPeftModel` load them. The import itself is light: torch is loaded with the
first tuner.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcft.tuners.bottleneck import BottleneckConfig as BottleneckConfig
    from dcft.tuners.bottleneck import BottleneckModel as BottleneckModel
    from dcft.tuners.conversion import save_as_lora as save_as_lora
    from dcft.tuners.dcft import DcftConfig as DcftConfig
    from dcft.tuners.dcft import DcftModel as DcftModel
    from dcft.tuners.dcft import orthogonality_loss as orthogonality_loss
    from dcft.tuners.factored import merged as merged
    from dcft.tuners.sora import SoraConfig as SoraConfig
    from dcft.tuners.sora import SoraModel as SoraModel
    from dcft.tuners.sora import gate_penalty as gate_penalty

__version__ = "0.1.0"

_MODULES = {  # public name -> module of dcft.tuners
    "BottleneckConfig": "bottleneck",
    "BottleneckModel": "bottleneck",
    "DcftConfig": "dcft",
    "DcftModel": "dcft",
    "SoraConfig": "sora",
    "SoraModel": "sora",
    "gate_penalty": "sora",
    "merged": "factored",
    "orthogonality_loss": "dcft",
    "save_as_lora": "conversion",
}
__all__ = list(_MODULES)


def _register() -> None:
    for module in set(_MODULES.values()):
        importlib.import_module(f"dcft.tuners.{module}")


class _AfterPeft:
    """Imports the tuners, which register themselves, right after PEFT was imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "peft":
            return None
        others = sys.meta_path[sys.meta_path.index(self) + 1 :]
        spec = next(filter(None, (finder.find_spec(fullname, path, target) for finder in others)), None)
        if spec and spec.loader:
            load = spec.loader.exec_module

            def load_then_register(module: ModuleType) -> None:
                load(module)
                _register()

            vars(spec.loader)["exec_module"] = load_then_register
        return spec


if "peft" in sys.modules:
    _register()
else:
    sys.meta_path.insert(0, _AfterPeft())


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"dcft.tuners.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'dcft' has no attribute {name!r}")
