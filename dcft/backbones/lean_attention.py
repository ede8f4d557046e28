"""DeBERTa's disentangled attention with less computation: the same function of the same weights.

Source: He et al., "DeBERTa", eq. 4, as transformers' `DisentangledSelfAttention` computes it. The score of query a and
key c is `(q_a k_c + q_a pk[a - c] + k_c pq[a - c]) / scale`, where pk and pq are projections of an embedding of the
relative position, one row per bucket. transformers projects all 512 buckets for every batch, repeats the projections
for every sentence, multiplies all queries and keys by all of them, and gathers one entry per pair. This module

- projects only the buckets that the batch's length can reach, once for the whole batch;
- orders the rows of the table `q_a pk[d]` by distance, so that the entries of all pairs lie at constant strides: a
  skewed view replaces the gather (and, backward, the scatter);
- computes the bucket of each distance once per length.

`use` changes the class of existing modules, so that weights, adapters and hooks stay as they are. The classes rely on
attributes of transformers' classes that tests/backbones/test_lean_attention.py lists.
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

from dcft.backbones import lean_bert
from dcft.tuners.factored import project

# Layers that project positions: those of the content (`share_att_key`), or separate ones.
SHARED_PROJECTIONS = {"c2p": "key_proj", "p2c": "query_proj"}
SEPARATE_PROJECTIONS = {"c2p": "pos_key_proj", "p2c": "pos_query_proj"}


def use(model: nn.Module, kind: str) -> None:
    """Choose how a model's encoders compute attention, in place: DeBERTa's, BERT's and RoBERTa's. Others stay.

    Args:
        model: any model, adapted or not.
        kind: "lean" (this module and `lean_bert`) or "plain" (transformers).

    Raises:
        ValueError: if `kind` is neither.
    """
    if kind not in ("plain", "lean"):
        raise ValueError(f'attention={kind}: give "plain" or "lean"')
    classes = {LeanEncoder: DebertaV2Encoder, LeanSelfAttention: DisentangledSelfAttention} | lean_bert.CLASSES
    if kind == "lean":
        classes = {plain: lean for lean, plain in classes.items()}
    for module in model.modules():
        module.__class__ = classes.get(type(module), type(module))


class LeanEncoder(DebertaV2Encoder):
    """Passes no relative positions to its layers: `LeanSelfAttention` computes them once per length."""

    def get_rel_pos(self, hidden_states: Tensor, query_states=None, relative_pos: Tensor | None = None):
        if query_states is None and relative_pos is None:
            return None
        return super().get_rel_pos(hidden_states, query_states, relative_pos)


class LeanSelfAttention(DisentangledSelfAttention):
    """`DisentangledSelfAttention` as the module's docstring describes it."""

    projected: dict | None = None  # projections of positions by length, inside `constant_weights`

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        output_attentions: bool = False,
        query_states: Tensor | None = None,
        relative_pos: Tensor | None = None,
        rel_embeddings: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """As `DisentangledSelfAttention.forward`, which still runs if `query_states` or `relative_pos` is given."""
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
        """Projected key and query of each distance, `heads x 2 * length - 1 x size`, or None without that term.

        Keys go from the largest distance to the smallest, queries from the smallest to the largest.
        """
        if self.projected is not None and length in self.projected:
            return self.projected[length]
        reach = (self.position_buckets, self.max_relative_positions, self.pos_ebd_size)
        first, end, rows = _buckets(length, *reach, embeddings.device)
        names = SHARED_PROJECTIONS if self.share_att_key else SEPARATE_PROJECTIONS
        parts = [part for part in names if part in self.pos_att_type]
        layers = (getattr(self, names[part]) for part in parts)
        outputs = project(self.pos_dropout(embeddings[first:end])[None], *layers)
        orders = {"c2p": rows.flip(0), "p2c": rows}
        by_part = {
            part: self._by_head(output).index_select(1, orders[part])
            for part, output in zip(parts, outputs, strict=True)
        }
        positions = by_part.get("c2p"), by_part.get("p2c")
        if self.projected is not None:
            self.projected[length] = positions
        return positions


@torch.compiler.assume_constant_result  # torch.compile cannot trace numbers that are read from tensors
def _scale(size: int, terms: int) -> float:
    return float(scaled_size_sqrt(torch.empty(size), terms))


@torch.compiler.assume_constant_result
def _buckets(length: int, buckets: int, max_distance: int, span: int, device: torch.device) -> tuple[int, int, Tensor]:
    """First and end of the embedding rows that a length can reach, and each distance's row, counted from the first."""
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
    """A view `n x L x L` of a contiguous table `n x L x 2L - 1`: row a begins at the table's column L - 1 - a."""
    n, length, width = table.shape
    return table.as_strided((n, length, length), (length * width, width - 1, 1), length - 1)


@contextmanager
def constant_weights(model: nn.Module) -> Iterator[None]:
    """Project positions once per length inside this context. Weights must not change, and no gradients are computed."""
    modules = [module for module in model.modules() if isinstance(module, LeanSelfAttention)]
    for module in modules:
        module.projected = {}
    try:
        yield
    finally:
        for module in modules:
            del module.projected  # not None: torch.compile would recompile for an instance's attribute
