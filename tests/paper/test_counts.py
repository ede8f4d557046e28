"""Parameter counts by formula, against architectures of the real widths without weights (meta device)."""

from dataclasses import replace

import pytest
import torch
from transformers import AutoConfig, AutoModelForQuestionAnswering, AutoModelForSequenceClassification

from dcft.config.schema import TARGETS
from dcft.paper import counts
from dcft.results.record import Params
from dcft.training import methods
from tests.conftest import configure

# Shapes of the backbones (their config.json on the Hub).
DEBERTA = {
    "relative_attention": True,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "type_vocab_size": 0,
    "position_biased_input": False,
    "vocab_size": 128100,
}
SHAPES = {
    "deberta-v3-base": ("deberta-v2", 768, 3072, 12, DEBERTA),
    "deberta-v2-xxlarge": ("deberta-v2", 1536, 6144, 24, DEBERTA | {"conv_kernel_size": 3, "conv_act": "gelu"}),
    "roberta-large": (
        "roberta",
        1024,
        4096,
        16,
        {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1},
    ),
}


LAYERS = 2  # of an architecture that is built: counts are linear in the layers, and the whole one is built below
SIX = TARGETS["all"]


def shallow(model: str) -> counts.Shape:
    """The backbone's shape with `LAYERS` layers."""
    return replace(counts.SHAPES[model], layers=LAYERS)


def bare(model: str, labels: int = 2, layers: int = LAYERS):
    """The backbone's architecture on the meta device, not adapted."""
    kind, hidden, ffn, heads, rest = SHAPES[model]
    sizes = {
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_labels": labels,
    }
    with torch.device("meta"):
        return AutoModelForSequenceClassification.from_config(AutoConfig.for_model(kind, **sizes, **rest))


def prepared(model: str, *overrides: str, layers: int = LAYERS) -> methods.Prepared:
    """The same, adapted by the suite's own configuration."""
    backbone = bare(model, layers=layers)
    with torch.device("meta"):
        return methods.prepare(backbone, configure(f"model={model}", *overrides))


@pytest.mark.parametrize(
    ("model", "kernel", "count"),
    [  # Tables 1, 2 and 4
        ("deberta-v3-base", 2, 83_232),
        ("deberta-v3-base", 4, 42_624),
        ("deberta-v3-base", 6, 30_240),
        ("deberta-v3-base", 8, 25_344),
        ("deberta-v3-base", 12, 24_192),
        ("roberta-large", 2, 221_760),
        ("roberta-large", 8, 64_512),
        ("deberta-v2-xxlarge", 8, 184_320),
    ],
)
def test_counts_of_each_kernel(model, kernel, count):
    assert counts.dcft(counts.SHAPES[model], SIX, kernel, kernel) == count


@pytest.mark.parametrize(("stride", "count"), [(1, 169_488), (2, 87_120), (4, 45_936), (8, 25_344)])  # Table 5
def test_counts_of_each_stride(stride, count):
    assert counts.dcft(counts.SHAPES["deberta-v3-base"], SIX, 8, stride) == count


@pytest.mark.parametrize(  # Table 6; "O" takes in both matrices that end in "output"
    ("targets", "count"), [("qk", 6_144), ("qv", 6_144), ("qkv", 9_216), ("qkvo", 18_816), ("all", 25_344)]
)
def test_counts_of_each_set_of_matrices(targets, count):
    assert counts.dcft(counts.SHAPES["deberta-v3-base"], TARGETS[targets], 8, 8) == count


def test_the_head_trains_and_is_counted_apart():
    params = prepared("deberta-v3-base", layers=12).params
    assert params == Params(adapter=25_344, head=592_130, trainable=617_474, total=184_423_682)


def test_lora_of_rank_one_is_six_and_a_half_times_larger():
    assert prepared("deberta-v3-base", "method=lora", layers=12).params.adapter == 165_888


def test_full_fine_tuning_trains_everything():
    params = prepared("deberta-v3-base", "method=full", layers=12).params
    assert params.trainable == params.total == 184_423_682


@pytest.mark.parametrize("kernel", [6, 12])
def test_kernels_that_do_not_fit_roberta_large_are_refused(kernel):
    with pytest.raises(methods.UserError, match=r"roberta\.encoder\.layer\.0\.attention\.self\.query \(1024 -> 1024\)"):
        prepared("roberta-large", f"kernel={kernel}")


def size(parameters) -> int:
    return sum(parameter.numel() for parameter in parameters)


@pytest.mark.parametrize("model", SHAPES)
@pytest.mark.parametrize("labels", [1, 3])
def test_formulas_of_backbone_and_head(model, labels):
    shape, built = shallow(model), bare(model, labels)
    in_head = [p for name, p in built.named_parameters() if name.startswith(("pooler", "classifier"))]
    assert counts.head(shape, labels) == size(in_head)
    assert counts.backbone(shape) == size(built.parameters()) - size(in_head)


def test_formula_of_the_span_head():
    kind, hidden, ffn, _, rest = SHAPES["deberta-v3-base"]
    architecture = AutoConfig.for_model(kind, hidden_size=hidden, intermediate_size=ffn, num_hidden_layers=1, **rest)
    with torch.device("meta"):
        head = AutoModelForQuestionAnswering.from_config(architecture).qa_outputs
    assert counts.span_head(counts.SHAPES["deberta-v3-base"]) == size(head.parameters())


@pytest.mark.parametrize("model", SHAPES)
@pytest.mark.parametrize("targets", ["qv", "qkvo", "all"])
def test_formulas_of_dcft_and_lora(model, targets):
    shape, names = shallow(model), TARGETS[targets]
    adapted = prepared(model, f"targets={targets}", "kernel=4", "stride=2")
    assert counts.dcft(shape, names, 4, 2) == adapted.params.adapter
    adapted = prepared(model, f"targets={targets}", "method=lora", "rank=3")
    assert counts.lora(shape, names, 3) == adapted.params.adapter


@pytest.mark.parametrize("model", SHAPES)
@pytest.mark.parametrize(
    ("settings", "count"),
    [
        (["method=bitfit"], counts.bitfit),
        (["method=hadapter", "bottleneck=5"], lambda shape: counts.hadapter(shape, 5)),
        (["method=padapter", "bottleneck=5"], lambda shape: counts.padapter(shape, 5)),
        (["method=lora_fa", "rank=3"], lambda shape: counts.lora_fa(shape, SIX, 3)),
        (["method=adalora", "rank=1", "method.peft.init_r=3"], lambda shape: counts.adalora(shape, SIX, 3)),
        (["method=sora", "rank=3"], lambda shape: counts.sora(shape, SIX, 3)),
    ],
)
def test_formulas_of_the_baselines(model, settings, count):
    assert count(shallow(model)) == prepared(model, "task=rte", *settings).params.adapter


def test_formulas_give_the_sizes_that_others_print():
    base = counts.SHAPES["deberta-v3-base"]
    assert counts.hadapter(base, 8) == 313_536  # 0.31M in Table 1
    assert counts.padapter(base, 16) == 304_320  # 0.3M
    assert counts.bitfit(base) == 102_912  # 0.1M
    assert counts.sora(base, SIX, 8) == counts.lora(base, SIX, 8) + 8 * 72  # a gate a rank, in each of 72 matrices
    assert counts.dcft(base, SIX, 8, 8) == 25_344  # 24k
