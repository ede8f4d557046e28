"""Whether this machine supports a cell's settings; checked before anything is loaded."""

import torch
from transformers.utils import is_torch_bf16_gpu_available

from dcft.backbones import compilation, flash_attention
from dcft.config.cell import RunConfig
from dcft.errors import UserError


def check(config: RunConfig) -> None:
    """Make sure that this machine has what the cell's precision, attention and compilation need.

    Raises:
        UserError: if something is missing; names the setting and an alternative.
    """
    if config.precision == "bf16" and not _has_bfloat16():
        name = torch.cuda.get_device_name() if torch.cuda.is_available() else torch.accelerator.current_accelerator()
        raise UserError(f"precision=bf16: {name} does not compute in bfloat16; give precision=fp32")
    if config.attention == "flash":
        flash_attention.require()
    if config.compile:
        compilation.require()


def _has_bfloat16() -> bool:
    if torch.cuda.is_available():  # older GPUs emulate it, slower than float32
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return not torch.accelerator.is_available() or is_torch_bf16_gpu_available()
