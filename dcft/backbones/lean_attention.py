"""DeBERTa's disentangled attention without its waste: the same function of the same weights, computed with less.

Source: He et al., "DeBERTa", eq. 4, as transformers' `DisentangledSelfAttention` computes it. The score of query a and
key c is `(q_a k_c + q_a pk[a - c] + k_c pq[a - c]) / scale`, where pk and pq are projections of an embedding of the
relative position, one row a bucket. transformers projects all 512 buckets for every batch, repeats the projections for
every sentence, multiplies all queries and keys by all of them, and gathers one row a pair. Here

- only buckets that the batch's length can reach are projected, once for the whole batch;
- rows are ordered by distance, so that what belongs to query a and key c lies at a constant stride: the table of
  `q_a pk[d]` is read as a skewed view instead of being gathered (and, backward, scattered);
- which bucket a distance falls into is found out once a length.

The classes take the place of transformers' own on the same modules, so that weights, adapters and hooks stay as they
are. They rely on attributes that tests/backbones/test_lean_attention.py names.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, reduce

import torch
from torch import Tensor, nn
from torch.nn.functional import softmax
from transformers.models.deberta_v2.modeling_deberta_v2 import (
    DebertaV2Encoder,
    DisentangledSelfAttention,
    build_relative_position,
    scaled_size_sqrt,
)

from dcft.tuners.factored import project

# What projects positions: what projects the content as well, or matrices of their own.
SHARED_PROJECTIONS = {"c2p": "key_proj", "p2c": "query_proj"}
OWN_PROJECTIONS = {"c2p": "pos_key_proj", "p2c": "pos_query_proj"}


def use(model: nn.Module, kind: str) -> None:
    """Choose how a model's DeBERTa encoders compute attention, in place; other backbones have nothing to choose.

    Args:
        model: any model, adapted or not.
        kind: "lean" (this module) or "plain" (transformers).

    Raises:
        ValueError: for another kind.
    """
    if kind not in ("plain", "lean"):
        raise ValueError(f'attention={kind}: give "plain" or "lean"')
    classes = {LeanEncoder: DebertaV2Encoder, LeanSelfAttention: DisentangledSelfAttention}
    if kind == "lean":
        classes = {plain: lean for lean, plain in classes.items()}
    for module in model.modules():
        module.__class__ = classes.get(type(module), type(module))


class LeanEncoder(DebertaV2Encoder):
    """Hands its layers no relative positions: a `LeanSelfAttention` looks them up."""

    def get_rel_pos(self, hidden_states: Tensor, query_states=None, relative_pos: Tensor | None = None):
        if query_states is None and relative_pos is None:
            return None
        return super().get_rel_pos(hidden_states, query_states, relative_pos)


class LeanSelfAttention(DisentangledSelfAttention):
    projected: dict | None = None  # projections of positions, while `constant_weights` is in force

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        output_attentions: bool = False,
        query_states: Tensor | None = None,
        relative_pos: Tensor | None = None,
        rel_embeddings: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """As `DisentangledSelfAttention.forward`, which still runs if positions or other queries are given."""
        parts = {"c2p", "p2c"}.intersection(self.pos_att_type if self.relative_attention else [])
        if query_states is not None or relative_pos is not None or not parts:
            return super().forward(
                hidden_states, attention_mask, output_attentions, query_states, relative_pos, rel_embeddings
            )
        batch, length, _ = hidden_states.shape
        scale = _scale(self.attention_head_size, 1 + len(parts))
        projections = (self.query_proj, self.key_proj, self.value_proj)
        query, key, value = map(self._by_head, project(hidden_states, *projections))
        query = query / scale
        shape = (self.num_attention_heads * batch, length, -1)

        position_key, position_query = self._positions(rel_embeddings, length)
        terms = []
        if position_key is not None:
            terms.append(_skewed(torch.bmm(query, position_key.mT).view(shape)))
        if position_query is not None:
            terms.append(_skewed(torch.bmm(key, position_query.mT / scale).view(shape)).mT)
        query, key = query.view(shape), key.view(shape)
        scores = torch.baddbmm(reduce(torch.add, terms), query, key.mT)
        scores = scores.view(-1, batch, length, length)
        scores = scores.masked_fill_(~attention_mask.bool().transpose(0, 1), torch.finfo(scores.dtype).min)
        probabilities = self.dropout(softmax(scores, dim=-1))
        context = torch.bmm(probabilities.view(-1, length, length), value.view(shape))
        context = context.view(-1, batch, length, context.shape[-1]).permute(1, 2, 0, 3).flatten(2)
        return context, probabilities.transpose(0, 1) if output_attentions else None

    def _by_head(self, states: Tensor) -> Tensor:
        """`batch x length x heads * size` to `heads x batch * length x size`."""
        return states.unflatten(-1, (self.num_attention_heads, -1)).flatten(0, -3).transpose(0, 1).contiguous()

    def _positions(self, embeddings: Tensor, length: int) -> tuple[Tensor | None, Tensor | None]:
        """Key and query of each distance, `heads x 2 * length - 1 x size`: keys from the largest on, queries to it."""
        if self.projected is not None and length in self.projected:
            return self.projected[length]
        reach = (self.position_buckets, self.max_relative_positions, self.pos_ebd_size)
        first, end, rows = _buckets(length, *reach, embeddings.device)
        names = SHARED_PROJECTIONS if self.share_att_key else OWN_PROJECTIONS
        parts = [part for part in names if part in self.pos_att_type]
        layers = (getattr(self, names[part]) for part in parts)
        outputs = project(self.pos_dropout(embeddings[first:end])[None], *layers)
        orders = {"c2p": rows.flip(0), "p2c": rows}
        found = {
            part: self._by_head(output).index_select(1, orders[part])
            for part, output in zip(parts, outputs, strict=True)
        }
        positions = found.get("c2p"), found.get("p2c")
        if self.projected is not None:
            self.projected[length] = positions
        return positions


@torch.compiler.assume_constant_result  # torch.compile cannot trace numbers that are read off tensors
def _scale(size: int, terms: int) -> float:
    return float(scaled_size_sqrt(torch.empty(size), terms))


@torch.compiler.assume_constant_result
def _buckets(length: int, buckets: int, max_distance: int, span: int, device: torch.device) -> tuple[int, int, Tensor]:
    """First and end of the rows that a length can reach; the row of each distance, counted from the first."""
    return _find_buckets(length, buckets, max_distance, span, device)


@lru_cache(maxsize=1024)
def _find_buckets(
    length: int, buckets: int, max_distance: int, span: int, device: torch.device
) -> tuple[int, int, Tensor]:
    positions = torch.empty(length, 1)
    of_pair = build_relative_position(positions, positions, buckets, max_distance)[0]  # [query, key]
    of_distance = torch.cat([of_pair[0].flip(0), of_pair[1:, 0]])
    rows = torch.clamp(of_distance + span, 0, 2 * span - 1)
    return int(rows[0]), int(rows[-1]) + 1, (rows - rows[0]).to(device)


def _skewed(table: Tensor) -> Tensor:
    """`n x L x 2L - 1` (no slice) read so that row a begins at column L - 1 - a: `n x L x L`, without a copy."""
    n, length, width = table.shape
    return table.as_strided((n, length, length), (length * width, width - 1, 1), length - 1)


@contextmanager
def constant_weights(model: nn.Module) -> Iterator[None]:
    """Within this context, in which no weight changes and no gradient is asked for, positions are projected once."""
    modules = [module for module in model.modules() if isinstance(module, LeanSelfAttention)]
    for module in modules:
        module.projected = {}
    try:
        yield
    finally:
        for module in modules:
            del module.projected  # not None: torch.compile takes an attribute of its own for another module
