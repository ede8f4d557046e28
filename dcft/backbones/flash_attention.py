"""DeBERTa's disentangled attention by fused CUDA kernels (the package disentangled-flash), adapters included.

The package replaces the encoder and each layer's self-attention. It projects positions by calling modules, but content
by one product with the concatenated weights of query, key and value. That product would ignore adapters, because the
`weight` of a PEFT layer is the frozen layer's. This module therefore calls the three projections as modules as well,
and leaves the rest to the package.
"""

import importlib.util

import torch
from torch import Tensor
from transformers import PreTrainedModel

from dcft.errors import UserError

PACKAGE = "disentangled_flash"


def require() -> None:
    """Make sure that the package and a CUDA device are there.

    Raises:
        UserError: if one of them is missing.
    """
    if not torch.cuda.is_available():
        raise UserError("attention=flash: its kernels need a CUDA device, and PyTorch finds none; give attention=lean")
    if importlib.util.find_spec(PACKAGE) is None:
        raise UserError("attention=flash needs a package; pip install disentangled-flash, or give attention=lean")


def use(model: PreTrainedModel, backend: str = "triton") -> None:
    """Replace the attention of a DeBERTa-v2 or v3 backbone by disentangled-flash's, in place.

    Args:
        model: a backbone with its head and without adapters, because the package looks weights up by their plain names.
        backend: of the package: "triton" (CUDA), or "torch" (the same function in PyTorch, on any device).

    Raises:
        UserError: if the model is not a DeBERTa, or no kernel supports the size of its heads.
    """
    if model.config.model_type != "deberta-v2":
        raise UserError(f"attention=flash is DeBERTa's, and this backbone is a {model.config.model_type}; leave it out")
    from disentangled_flash import DebertaV2OptimizedEncoder, optimize_deberta_training

    backbone = optimize_deberta_training(model.base_model, backend=backend)
    if not isinstance(backbone.encoder, DebertaV2OptimizedEncoder):  # the package skips what it lacks, silently
        size = model.config.hidden_size // model.config.num_attention_heads
        raise UserError(
            f"attention=flash: no kernel for heads of size {size} (32, 64 and 128 have one), or no Triton; "
            "give attention=lean"
        )
    attentions = [layer.attention.self for layer in backbone.encoder.layer]
    flash_class = type("FlashSelfAttention", (_ModuleProjections, type(attentions[0])), {})
    for attention in attentions:
        attention.__class__ = flash_class


class _ModuleProjections:
    """Mixin for the package's self-attention: projects by calling modules, and gives the kernels one dtype.

    Some adapters return float32 under autocast. PyTorch's products cast it; the kernels do not.
    """

    def _project_qkv(self, hidden_states: Tensor) -> tuple[Tensor, ...]:
        return tuple(_cast(project(hidden_states)) for project in (self.query_proj, self.key_proj, self.value_proj))

    def _project_active_positions(self, *arguments: Tensor) -> tuple[Tensor | None, ...]:
        positions = super()._project_active_positions(*arguments)
        return tuple(part if part is None else _cast(part) for part in positions)


def _cast(x: Tensor) -> Tensor:
    """Cast to autocast's dtype, if autocast is on."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x
