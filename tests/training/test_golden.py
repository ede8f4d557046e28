"""A small run of every method, held against committed numbers: a change of what a method computes is always seen.

`UPDATE=1 pytest tests/training/test_golden.py` writes tests/fixtures/golden.json. A commit that does so says why the
numbers have changed.
"""

import json
import os

import pytest

from dcft.results import records
from dcft.training.run import run_cell
from tests.conftest import MORE_METHODS, PAPER_METHODS, ROOT

GOLDEN = ROOT / "tests" / "fixtures" / "golden.json"
RUN = [
    "task=toy_sim",
    "model=tiny-deberta",
    "train.max_steps=20",
    "eval.every=10",
    "train.batch_size=8",
    "train.lr=1e-2",
]
RUN += ["train.lr=1e-2", "data.max_train=200", "data.max_eval=60"]
OWN = {
    "adalora": ["method.peft.tinit=4", "method.peft.tfinal=6", "method.peft.deltaT=1"],
    "fourierft": ["train.lr=1e-3"],  # with more it is chaotic: rounding decides its losses
}
TOLERANCE = 1e-5  # relative, of losses; with other vector instructions they differ by 3e-7
POINTS = 0.1  # percent, of correlations; with other vector instructions they differ by 0.03


@pytest.mark.parametrize("method", PAPER_METHODS + MORE_METHODS)
def test_a_small_run_gives_the_committed_numbers(cell, method):
    record = records.read(run_cell(cell(*RUN, f"method={method}", *OWN.get(method, []))))
    shown = {
        "params": {name: getattr(record.params, name) for name in ("adapter", "head", "kept")},
        "tokens": record.tokens.real,
        "losses": [loss for _, loss in record.losses],
        "dev_losses": [entry.loss for entry in record.history],
        "scores": [entry.score for entry in record.history],
        "halves": [half["score"] for entry in record.history for half in entry.metrics_halves],
    }
    golden = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.is_file() else {}
    if os.environ.get("UPDATE"):
        GOLDEN.write_text(json.dumps(golden | {method: shown}, indent=1) + "\n", encoding="utf-8")
        return
    expected = golden[method]
    assert shown["params"] == expected["params"]
    assert shown["tokens"] == expected["tokens"]
    for name in ("losses", "dev_losses"):
        assert shown[name] == pytest.approx(expected[name], rel=TOLERANCE), name
    for name in ("scores", "halves"):
        assert shown[name] == pytest.approx(expected[name], abs=POINTS), name
