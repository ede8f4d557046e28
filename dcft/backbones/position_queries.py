"""Which layer projects DeBERTa's position queries, where they share their projection with the content's queries.

The scores of disentangled attention have the term `k_c pq[a - c]` (He et al., "DeBERTa", eq. 4). With `share_att_key`
(DeBERTaV3 and V2) `pq` is the query projection of a position's embedding. The official code of DCFT, as AdaLoRA's for
GLUE, projects content by the adapted query layer, and positions by its frozen weight alone. Position keys have the
adapter in both. AdaLoRA's code for SQuAD has it in position queries, too.
"""

from functools import lru_cache, partial
from typing import Any

import torch.nn.functional as F
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from dcft.tuners.factored import FactoredLayer

KINDS = ("adapted", "base")


def use(model: nn.Module, kind: str) -> None:
    """Choose what projects a model's position queries, in place; lean, plain and flash attention follow.

    Adapters may be put in before or after. Other backbones stay as they are, and so do DeBERTas whose positions have
    projections of their own.

    Args:
        model: a model whose attention has been chosen (`lean_attention.use`, `flash_attention.use`).
        kind: "adapted": the query layer with its adapters, as in transformers; "base": its frozen weight, also while
            adapters are merged.

    Raises:
        ValueError: if `kind` is neither.
    """
    if kind not in KINDS:
        raise ValueError(f"position_queries={kind}: give {' or '.join(KINDS)}")
    if kind == "adapted":
        return
    for attention in model.modules():
        if getattr(attention, "share_att_key", False):
            attention.share_att_key = False
            attention.__class__ = _with_base_queries(type(attention))


def own_projections(model: nn.Module) -> dict[str, Tensor]:
    """The weights of position queries that have the frozen projection, as transformers names them without sharing.

    With them, and with the keys' adapted projection for position keys, a plain DeBERTa of `share_att_key=False`
    computes the same. Call it before adapters are merged.

    Args:
        model: a backbone on which `use` has been called.

    Returns:
        Copies of weights and biases by their name in the backbone; empty where queries share their projection.
    """
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, _BaseQueries):
            layer: Any = module
            projection = layer.query_proj
            base = projection.get_base_layer() if isinstance(projection, BaseTunerLayer) else projection
            for kind, tensor in base.named_parameters():
                found[f"{name}.pos_query_proj.{kind}"] = tensor.detach().clone()
    return found


class _BaseQueries:
    """Mixin: names the two layers that attention calls for positions where `share_att_key` is false."""

    @property
    def pos_key_proj(self) -> nn.Module:
        return self.key_proj

    @property
    def pos_query_proj(self) -> Any:
        return frozen(self.query_proj)


@lru_cache
def _with_base_queries(attention_class: type[nn.Module]) -> type[nn.Module]:
    return type(attention_class.__name__, (_BaseQueries, attention_class), {})


def frozen(layer: nn.Module) -> Any:
    """What computes a layer's output without its adapters, merged ones included."""
    if not isinstance(layer, BaseTunerLayer):
        return layer
    base = layer.get_base_layer()
    if not layer.merged:
        return base
    if isinstance(layer, FactoredLayer):
        weight = layer.unmerged_weight
    else:  # one of PEFT's: its way to unmerge
        weight = base.weight - sum(map(layer.get_delta_weight, layer.merged_adapters))
    return partial(F.linear, weight=weight, bias=base.bias)
