"""Dropout on a CPU at a fraction of its cost: the same distribution from other random numbers.

PyTorch draws one number of its generator for each element. Here one 64-bit number of the same generator gives four
elements 16 bits each. An element is dropped if its 16 bits, read as an
integer from 0 to 65,535, are below `round(65536 p)`. So p is a multiple of 2^-16: 0.1 becomes 0.100006. Kept elements
are scaled by the inverse of their exact probability. The numbers come from PyTorch's default generator, so seeds,
resumed runs and several processes work as with PyTorch's dropout.

GPUs and compiled layers have cheap dropout already; there the modules compute PyTorch's.
"""

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

KINDS = ("torch", "fast")
ATTENTION = "sdpa_fast_dropout"  # name among transformers' attention functions
LEVELS = 2**16


def use(model: PreTrainedModel, kind: str) -> None:
    """Choose how a model draws its dropout, in place.

    Args:
        model: a backbone with its head, whose attention is transformers' or lean. Flash attention does not drop by
            these modules.
        kind: "fast" (this module) or "torch".

    Raises:
        ValueError: if `kind` is neither.
    """
    if kind not in KINDS:
        raise ValueError(f"dropout={kind}: give {' or '.join(KINDS)}")
    before, after = (nn.Dropout, FastDropout) if kind == "fast" else (FastDropout, nn.Dropout)
    for module in model.modules():
        if type(module) is before:
            module.__class__ = after
    names = ("sdpa", ATTENTION) if kind == "fast" else (ATTENTION, "sdpa")
    if model.config._attn_implementation == names[0]:
        model.set_attn_implementation(names[1])


class FastDropout(nn.Dropout):
    """`nn.Dropout` that draws 16 bits for each element."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or not _applies(input, self.p):
            return super().forward(input)
        return input * mask(input, self.p)


def mask(x: Tensor, p: float) -> Tensor:
    """A random factor for each element: 0 with probability p, else the inverse of the probability to be kept.

    Args:
        x: gives shape and type; its values do not matter.
        p: probability between 0 and 1, both excluded; rounded to a multiple of 2^-16 that lies between them as well.
    """
    dropped = min(max(round(LEVELS * p), 1), LEVELS - 1)
    draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = draws.view(torch.int16)[: x.numel()].view(x.shape)  # from -32,768 on
    # Comparing floats is several times as fast as comparing integers, and float32 holds all of these exactly.
    return bits.float().ge_(dropped - LEVELS // 2).to(x.dtype).mul_(LEVELS / (LEVELS - dropped))


def _applies(x: Tensor, p: float) -> bool:
    return x.device.type == "cpu" and 0 < p < 1 and not torch.compiler.is_compiling()


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention as transformers' "sdpa" computes it, with fast dropout of the probabilities.

    Args:
        module: the attention.
        query, key, value: `batch x heads x tokens x size`.
        attention_mask: `batch x 1 x tokens x tokens`, True where a query sees a key; None: everywhere.
        dropout: probability that a probability is dropped; 0 in evaluation.
        scaling: factor on the scores; None: `size ** -0.5`.
        kwargs: for "sdpa".

    Returns:
        `batch x tokens x heads x size`, and None instead of the probabilities.
    """
    if not _applies(query, dropout):
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)
    scores = torch.matmul(query * (query.shape[-1] ** -0.5 if scaling is None else scaling), key.mT)
    if attention_mask is not None:
        scores = scores.masked_fill_(~attention_mask, torch.finfo(scores.dtype).min)
    probabilities = torch.softmax(scores, dim=-1)
    context = torch.matmul(probabilities * mask(probabilities, dropout), value)
    return context.transpose(1, 2), None


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
