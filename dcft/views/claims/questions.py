"""The paper's claims that runs can touch: which rows of which table each one compares.

Words and sections are the paper's (arXiv 2503.01419). Those that the audit checks are in results/paper/claims.csv too.
"""

from dataclasses import dataclass
from typing import Any

SIZES = ("DCFT (d=4)", "DCFT (d=6)", "DCFT (d=8)", "DCFT (d=12)")
SUBSTITUTE = "minilm-l6"  # has short tables of its own; any other backbone has the paper's
TABLES = {  # by topic: the short table, and the paper's
    "lora": ("minilm_lora", "table1"),
    "rte": ("minilm_rte", "table1"),
    "methods": ("minilm", "table1"),
    "stride": ("minilm_stride", "table5"),
    "kernel": ("minilm_kernel", "table4"),
    "targets": ("minilm_targets", "table6"),
    "ablation": ("minilm_ablation", "ablation"),
}


@dataclass(frozen=True)
class Question:
    """One claim: `ours` has the higher score or curve, the shorter time or the weaker pattern than each of `theirs`."""

    title: str
    place: str  # in the paper
    claim: str  # its words
    topic: str  # a key of `TABLES`
    ours: str  # title of a row
    theirs: tuple[str, ...]
    quantity: str = "score"  # a key of `compare.QUANTITIES`
    tasks: tuple[str, ...] = ()  # empty: all of the table, and the verdict is on their average
    printed: bool = True  # whether the paper prints the quantity for these rows

    def table(self, model: str) -> str:
        """The table of conf/table that asks the question of a backbone."""
        return TABLES[self.topic][model != SUBSTITUTE]


# How the rows of our tables are read in the paper's: the knobs of results/paper.
PRINTED: dict[str, dict[str, Any]] = {
    "Fine-Tune": {"method": "full"},
    "HAdapter": {"method": "hadapter", "bottleneck": 8},
    "BitFit": {"method": "bitfit"},
    "SoRA (r<=1)": {"method": "sora", "rank": 1},
    "LoRA (r=1)": {"method": "lora", "rank": 1},
    **{f"DCFT (d={d})": {"method": "dcft", "kernel": d, "stride": d, "targets": "all"} for d in (2, 4, 6, 8, 12)},
    **{f"DCFT (s={s})": {"method": "dcft", "kernel": 8, "stride": s} for s in (1, 2, 4, 8)},
    **{f"DCFT (s={s}), official computation": {"method": "dcft", "kernel": 8, "stride": s} for s in (1, 2, 4, 8)},
    **{
        f"DCFT ({title})": {"method": "dcft", "targets": targets}
        for title, targets in (("Q,K", "qk"), ("Q,V", "qv"), ("Q,K,V", "qkv"), ("Q,K,V,O", "qkvo"), ("all", "all"))
    },
}
BASE_CLAIM = "on the base model, DCFT outperforms the baselines in most tasks"
STRIDE_CLAIM = (
    "when the step size equals the kernel size, the model achieves the optimal results with the shortest training time"
)
TIME_CLAIM = (
    "the advantage of fewer parameters in DCFT results in significantly reduced gradient computations at each step. "
    "Over long periods of computation, this difference accumulates, ultimately leading to a substantial reduction in "
    "training time"
)
QUESTIONS = (
    Question(
        "DCFT against LoRA of rank 1",
        "section 1",
        "Compared to LoRA, DCFT achieves improved performance while using only 14% of the parameters",
        "lora",
        "DCFT (d=8)",
        ("LoRA (r=1)",),
    ),
    Question(
        "DCFT against LoRA of rank 1 on RTE",
        "section 4.2",
        BASE_CLAIM,
        "rte",
        "DCFT (d=8)",
        ("LoRA (r=1)",),
        tasks=("rte",),
    ),
    Question(
        "DCFT with d=2 against LoRA of rank 1",
        "section 4.2",
        BASE_CLAIM,
        "lora",
        "DCFT (d=2)",
        ("LoRA (r=1)",),
    ),
    Question(
        "DCFT against LoRA at the learning rates of Table 9",
        "section 4.2",
        f"we used the same hyperparameters ... {BASE_CLAIM}",
        "lora",
        "DCFT (d=8), rate of Table 9",
        ("LoRA (r=1), rate of Table 9",),
        printed=False,
    ),
    Question(
        "DCFT against other baselines",
        "section 4.2",
        BASE_CLAIM,
        "methods",
        "DCFT (d=8)",
        ("Fine-Tune", "HAdapter", "BitFit", "SoRA (r<=1)"),
    ),
    Question(
        "Training time of this suite against LoRA",
        "section 4.6",
        TIME_CLAIM,
        "lora",
        "DCFT (d=8)",
        ("LoRA (r=1)",),
        quantity="training time",
        printed=False,
    ),
    Question(
        "Training time of the official computation against LoRA",
        "section 4.6",
        TIME_CLAIM,
        "lora",
        "DCFT (s=8), official computation",
        ("LoRA (r=1)",),
        quantity="step time",
        printed=False,
    ),
    Question(
        "Convergence against LoRA",
        "section 4.6",
        "DCFT converges faster than LoRA due to having fewer parameters",
        "lora",
        "DCFT (d=8)",
        ("LoRA (r=1)",),
        quantity="learning curve",
        printed=False,
    ),
    Question(
        "Stride: scores",
        "section 4.5",
        STRIDE_CLAIM,
        "stride",
        "DCFT (s=8)",
        ("DCFT (s=4)", "DCFT (s=2)", "DCFT (s=1)"),
    ),
    Question(
        "Stride: training time of this suite",
        "section 4.5",
        STRIDE_CLAIM,
        "stride",
        "DCFT (s=8)",
        ("DCFT (s=4)", "DCFT (s=2)", "DCFT (s=1)"),
        quantity="training time",
    ),
    Question(
        "Stride: training time of the official computation",
        "section 4.5",
        STRIDE_CLAIM,
        "stride",
        "DCFT (s=8), official computation",
        tuple(f"DCFT (s={s}), official computation" for s in (4, 2, 1)),
        quantity="step time",
    ),
    Question(
        "Kernel size: scores",
        "section 4.4",
        "When using a kernel size of (d = 2), the model achieves the best average results",
        "kernel",
        "DCFT (d=2)",
        SIZES,
    ),
    Question(
        "Kernel size: training time of this suite",
        "section 4.4",
        "the model trains fastest ... when using a kernel size of (d = 8)",
        "kernel",
        "DCFT (d=8)",
        ("DCFT (d=2)", "DCFT (d=4)", "DCFT (d=6)", "DCFT (d=12)"),
        quantity="training time",
    ),
    Question(
        "Kernel size: convergence",
        "section 3.2.3",
        "the adoption of a larger kernel significantly reduces the number of parameters ... This reduction in "
        "parameter gradient computations accelerates model convergence",
        "kernel",
        "DCFT (d=8)",
        ("DCFT (d=2)", "DCFT (d=4)"),
        quantity="learning curve",
        printed=False,
    ),
    Question(
        "Kernel size: checkerboards",
        "section 3.2.3",
        "When a larger convolution kernel (d = 8) is used, ... effectively eliminating checkerboard artifacts",
        "kernel",
        "DCFT (d=8)",
        ("DCFT (d=2)", "DCFT (d=4)"),
        quantity="checkerboard",
        printed=False,
    ),
    Question(
        "Adapted matrices",
        "section 4.7",
        "applying it to all weight matrices achieves the best results",
        "targets",
        "DCFT (all)",
        ("DCFT (Q,K)", "DCFT (Q,V)", "DCFT (Q,K,V)", "DCFT (Q,K,V,O)"),
    ),
    Question(
        "Adapted matrices on STS-B",
        "section 4.7",
        "the matrices Q, K, V, O ... achieving the best results on the STS-B dataset",
        "targets",
        "DCFT (Q,K,V,O)",
        ("DCFT (Q,K)", "DCFT (Q,V)", "DCFT (Q,K,V)", "DCFT (all)"),
        tasks=("stsb",),
    ),
    Question(
        "Orthogonality",
        "appendix C",
        "reducing information overlap and increasing the overall efficiency and effectiveness of the model",
        "ablation",
        "DCFT (d=8)",
        ("no orthogonality",),
        printed=False,
    ),
)
