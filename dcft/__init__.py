"""DCFT: parameter-efficient fine-tuning via deconvolution in subspace, and the suite that reproduces its paper.

    from dcft import DcftConfig
    model = peft.get_peft_model(model, DcftConfig(kernel_size=8, target_modules=["query", "value"]))

Importing this package registers DCFT, SoRA and bottleneck adapters with PEFT (as soon as PEFT itself is imported), so
that `PeftModel.from_pretrained` and `AutoPeftModel` load them. The import itself is light: torch is loaded with the
first tuner.
"""

import importlib

import wrapt

__all__ = [
    "BottleneckConfig",
    "BottleneckModel",
    "DcftConfig",
    "DcftModel",
    "SoraConfig",
    "SoraModel",
    "gate_penalty",
    "merged",
    "orthogonality_loss",
    "save_as_lora",
]


@wrapt.when_imported("peft")
def _register(_peft) -> None:
    importlib.import_module("dcft.tuners")


def __getattr__(name: str):
    if name in __all__:
        return getattr(importlib.import_module("dcft.tuners"), name)
    raise AttributeError(f"module 'dcft' has no attribute {name!r}")
