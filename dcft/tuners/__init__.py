"""PEFT tuners that PEFT itself lacks; importing this package registers them."""

from dcft.tuners.bottleneck import BottleneckConfig, BottleneckModel
from dcft.tuners.conversion import save_as_lora
from dcft.tuners.dcft import DcftConfig, DcftModel, orthogonality_loss
from dcft.tuners.factored import merged
from dcft.tuners.sora import SoraConfig, SoraModel, gate_penalty

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
