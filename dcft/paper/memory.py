"""Memory of a training step by formula, from a backbone's shape. Integers only; nothing is built or loaded.

Activations: Korthikanti et al., 2022, "Reducing activation recomputation in large transformer models", section 4.1,
here in float32 and for any width of the feed-forward network.
"""

from dcft.paper import counts
from dcft.paper.counts import Shape

NUMBER = 4  # bytes of a float32
TRAINED = 3 * NUMBER  # bytes for each trained parameter, beside its weight: its gradient and AdamW's two averages


def step(
    shape: Shape, trained: int, batch: int, length: int, parts: int = 1, checkpointed: bool = False, added: int = 0
) -> int:
    """Bytes that a step needs in float32: weights, gradients, AdamW's averages, and activations.

    A backbone that is frozen keeps its activations all the same, because each matrix has an adapter. The gradients of
    one layer at a time count as much as its activations.

    Args:
        shape: the backbone's.
        trained: parameters that train, the head among them.
        batch, length: sequences of a step, and tokens of each.
        parts: micro-batches of a step (`train.accumulate`).
        checkpointed: only the input of each layer is kept (`train.checkpoint_layers`).
        added: parameters beside the backbone's: adapter and head.
    """
    tokens = -(-batch // parts) * length
    layer = tokens * _token(shape, length)
    kept = shape.layers * NUMBER * tokens * shape.hidden + layer if checkpointed else shape.layers * layer
    return NUMBER * (counts.backbone(shape) + added) + TRAINED * trained + kept + layer


def _token(shape: Shape, length: int) -> int:
    """Bytes that a layer keeps of each token for the backward pass.

    Widths of the hidden state: input of query, key and value; each of these; their product with the probabilities; the
    feed-forward network's input; the inputs of two LayerNorms. Of the inner width: before and after the activation. For
    each head and token: probabilities before and after dropout. Masks of dropout have a byte a number.
    """
    numbers = 8 * shape.hidden + 2 * shape.intermediate + 2 * shape.heads * length
    return NUMBER * numbers + 2 * shape.hidden + shape.heads * length
