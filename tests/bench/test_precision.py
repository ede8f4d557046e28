"""The comparison of bf16 with fp32."""

import pytest

from bench import precision
from dcft.results import records


def cells(fp32: list[float], bf16: list[float]) -> list[dict]:
    """Runs of one task with these scores, as the report has them; bf16 takes 0.6 of the time."""
    common = {"task": "toy_cls", "dev_rows": 400, "toy": True, "substitute_backbone": True, "eval_s": 1.0}
    return [
        common | {"seed": seed, "precision": name, "score": score, "train_s": seconds * (1 + seed)}
        for name, scores, seconds in (("fp32", fp32, 10), ("bf16", bf16, 6))
        for seed, score in enumerate(scores)
    ]


@pytest.mark.parametrize(
    ("fp32", "bf16", "holds"),
    [
        ([90, 91, 92], [90, 91, 93], True),
        ([90, 91, 92], [89, 89, 89], False),  # 2.00 worse; noise is 1.63
        ([90, 91, 92], [93, 93, 93], False),  # better is a difference, too
        ([100, 100, 100], [100, 100, 99.5], True),  # less than a row of 400 on average
        ([100, 100, 100], [99.5, 99.5, 99.5], False),
    ],
)
def test_scores_hold_if_they_differ_as_seeds_do(fp32, bf16, holds):
    result = precision.compare(cells(fp32, bf16))
    assert result["holds"] == holds
    assert result["train"] == pytest.approx(0.6)
    assert result["eval"] == 1


@pytest.mark.slow
def test_real_cells_are_compared(measure, tmp_path):
    options = ["--tasks", "toy_cls", "--model", "tiny-bert", "--steps", 3, "--seeds", 2, "--runs", tmp_path / "runs"]
    report, page = measure("precision", *options)
    assert len(report["runs"]) == len(records.read_all(tmp_path / "runs")[0]) == 4
    assert "Toy tasks are generated. The backbone is a substitute" in page
    assert "| toy_cls |" in page
