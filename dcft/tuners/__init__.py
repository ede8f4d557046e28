"""PEFT tuners that PEFT itself lacks; importing this package registers them."""

from dcft.tuners.conversion import save_as_lora
from dcft.tuners.dcft import DcftConfig, DcftModel, orthogonality_loss

__all__ = ["DcftConfig", "DcftModel", "orthogonality_loss", "save_as_lora"]
