"""DeBERTa's disentangled attention by fused CUDA kernels: the package disentangled-flash, with adapters in place.

The package replaces the encoder and each layer's self-attention, and multiplies by query, key and value at once: it
reads `query_proj.weight` and its like and concatenates them. An adapter around one of them would take no part (PEFT's
layers have a `weight`, that of the frozen layer), but for the positions, whose projections the package calls as
modules. So the three projections are called as modules here, and the package computes what comes after them.
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
        UserError: if one is missing.
    """
    if not torch.cuda.is_available():
        raise UserError("attention=flash: its kernels need a CUDA device, and PyTorch finds none; give attention=lean")
    if importlib.util.find_spec(PACKAGE) is None:
        raise UserError("attention=flash needs a package; pip install disentangled-flash, or give attention=lean")


def use(model: PreTrainedModel, backend: str = "triton") -> None:
    """Let a DeBERTa-v2 or v3 backbone compute attention by disentangled-flash, in place, before it is adapted.

    Args:
        model: a backbone with its head, not adapted yet: the package loads weights under their plain names.
        backend: the package's; "triton" (CUDA), or "torch", the same function in PyTorch on any device.

    Raises:
        UserError: if the model is no DeBERTa, or its heads have a size that the kernels do not know.
    """
    if model.config.model_type != "deberta-v2":
        raise UserError(f"attention=flash is DeBERTa's, and this backbone is a {model.config.model_type}; leave it out")
    from disentangled_flash import DebertaV2OptimizedEncoder, optimize_deberta_training

    backbone = optimize_deberta_training(model.base_model, backend=backend)
    if not isinstance(backbone.encoder, DebertaV2OptimizedEncoder):  # the package says nothing and changes nothing
        size = model.config.hidden_size // model.config.num_attention_heads
        raise UserError(
            f"attention=flash: no kernel for heads of size {size} (32, 64 and 128 have one), or no Triton; "
            "give attention=lean"
        )
    attentions = [layer.attention.self for layer in backbone.encoder.layer]
    by_modules = type("FlashSelfAttention", (_ByModules, type(attentions[0])), {})
    for attention in attentions:
        attention.__class__ = by_modules


class _ByModules:
    """Goes before the package's self-attention: projects by calling modules, and hands the kernels one dtype.

    Some adapters return float32 under autocast, which transformers' products would cast and the kernels do not.
    """

    def _project_qkv(self, hidden_states: Tensor) -> tuple[Tensor, ...]:
        return tuple(_cast(project(hidden_states)) for project in (self.query_proj, self.key_proj, self.value_proj))

    def _project_active_positions(self, *arguments: Tensor) -> tuple[Tensor | None, ...]:
        positions = super()._project_active_positions(*arguments)
        return tuple(part if part is None else _cast(part) for part in positions)


def _cast(x: Tensor) -> Tensor:
    """As autocast casts what is multiplied."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x
