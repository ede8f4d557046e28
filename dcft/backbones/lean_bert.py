"""BERT's and RoBERTa's attention with query, key and value projected together: the same function of the same weights.

Transformers calls the three projections one after the other. Adapted by factors, together they need one skinny product
instead of three in each direction, and one sum for the gradient of their input (`dcft.tuners.factored.project`).
"""

from typing import Any

from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.bert.modeling_bert import BertSelfAttention, eager_attention_forward
from transformers.models.roberta.modeling_roberta import RobertaSelfAttention

from dcft.tuners.factored import project


class _JointProjections:
    """Mixin for a self-attention whose class has transformers' attributes."""

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, past_key_values: Any = None, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None]:
        """As in transformers; decoders with a cache still run transformers' own."""
        if past_key_values is not None:
            return super().forward(hidden_states, attention_mask, past_key_values, **kwargs)
        projected = project(hidden_states, self.query, self.key, self.value)
        heads = (states.unflatten(-1, (-1, self.attention_head_size)).transpose(1, 2) for states in projected)
        kind = self.config._attn_implementation
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(kind, eager_attention_forward)
        dropout = self.dropout.p if self.training else 0.0
        context, weights = attend(self, *heads, attention_mask, dropout=dropout, scaling=self.scaling, **kwargs)
        return context.flatten(-2).contiguous(), weights


class LeanBertSelfAttention(_JointProjections, BertSelfAttention):
    pass


class LeanRobertaSelfAttention(_JointProjections, RobertaSelfAttention):
    pass


CLASSES = {LeanBertSelfAttention: BertSelfAttention, LeanRobertaSelfAttention: RobertaSelfAttention}
