"""Floating-point operations of a step by formula, and the device's rate for large matrix products: together the MFU.

Counted are the products of the backbone: a multiplication and an addition for each weight and token, the same for the
gradients of activations, and again for the gradients of weights where these train. Attention counts its products of
activations; DeBERTa's those of `attention=lean`. The adapters' skinny products, the head and everything elementwise are
left out, so the MFU (model FLOPs utilisation) says how much of the device the backbone's mathematics uses.
"""

from dcft.paper.counts import Shape, matrices


def forward(shape: Shape, batch: int, length: int) -> int:
    """Operations of a forward pass.

    Args:
        shape: the backbone's.
        batch, length: sequences, and tokens of each.
    """
    tokens = batch * length
    weights = sum(i * o for i, o in matrices(shape).values()) * shape.layers + shape.convolution * shape.hidden**2
    return 2 * tokens * weights + _projected_positions(shape, length) + _attention(shape, batch, length)


def step(shape: Shape, batch: int, length: int, backbone_trains: bool = False) -> int:
    """Operations of a training step: forward, gradients of activations, and of weights if the backbone trains.

    Gradients of a product of two activations are two products, whatever trains.
    """
    attention, total = _attention(shape, batch, length), forward(shape, batch, length)
    return (total - attention) * (3 if backbone_trains else 2) + 3 * attention


def _attention(shape: Shape, batch: int, length: int) -> int:
    """Scores and weighted values; with relative positions each query and key times all distances."""
    columns = 2 * length + (2 * (2 * length - 1) if shape.relative_positions else 0)
    return 2 * batch * length * columns * shape.hidden * shape.layers


def _projected_positions(shape: Shape, length: int) -> int:
    """The position embeddings that a length reaches, through query and key of each layer."""
    rows = min(shape.relative_positions, 2 * length - 1)
    return 2 * rows * 2 * shape.hidden**2 * shape.layers
