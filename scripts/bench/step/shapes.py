"""The backbones' sizes; loads no torch."""

from dcft.paper import counts

SHAPES = counts.SHAPES | counts.SUBSTITUTES
