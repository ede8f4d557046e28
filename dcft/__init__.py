"""DCFT: parameter-efficient fine-tuning via deconvolution in subspace, and the suite that reproduces its paper.

    from dcft import DcftConfig
    model = peft.get_peft_model(model, DcftConfig(kernel_size=8, target_modules=["query", "value"]))

Importing this package registers DCFT, SoRA and bottleneck adapters with PEFT (as soon as PEFT itself is imported), so
that `PeftModel.from_pretrained` and `AutoPeftModel` load them. The import itself is light: torch is loaded with the
first tuner.
"""

import importlib

import wrapt

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


@wrapt.when_imported("peft")
def _register(_peft) -> None:
    for module in set(_MODULES.values()):
        importlib.import_module(f"dcft.tuners.{module}")


def __getattr__(name: str):
    if name in _MODULES:
        return getattr(importlib.import_module(f"dcft.tuners.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'dcft' has no attribute {name!r}")
