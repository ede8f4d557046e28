"""compile=true: the same losses, a few shapes, no recompiling, and one line where there is no compiler."""

import copy

import pytest
import torch
from torch import nn

from dcft.backbones import compilation, load
from dcft.results import records
from dcft.training import methods
from dcft.training.run import run_cell
from dcft.training.trainer import CellTrainer
from tests.conftest import SHORT, configure

NO_DROPOUT = ["+model.random.hidden_dropout_prob=0", "+model.random.attention_probs_dropout_prob=0"]
NO_DROPOUT += ["train.cls_dropout=0"]  # compiled code draws other masks
LABELS = ["entailment", "not_entailment"]


@pytest.mark.parametrize(("max_length", "step"), [(64, 32), (128, 32), (256, 32), (320, 64), (384, 64), (512, 64)])
def test_there_are_at_most_eight_lengths(max_length, step):
    assert compilation.multiple(max_length) == step
    assert max_length / step <= 8


@pytest.fixture
def rte(tmp_path):
    """Short and long sentences in the official layout."""
    folder = tmp_path / "data/glue/RTE"
    folder.mkdir(parents=True)
    for split, rows in (("train", 20), ("dev", 8)):
        texts = ["Ada gave Ben a ball . " * (1 + 3 * (row % 2)) for row in range(rows)]
        lines = [f"{row}\t{text}\tBen has a ball .\t{label}" for row, text in enumerate(texts) for label in LABELS]
        (folder / f"{split}.tsv").write_text("\n".join(["index\tsentence1\tsentence2\tlabel", *lines]) + "\n")
    return tmp_path / "data"


@pytest.mark.slow
def test_losses_are_those_of_eager_and_shapes_are_few(cell, rte, monkeypatch):
    """Every layer is compiled once a shape, first or later, with a mask or without; nothing breaks a graph."""
    counters, shapes = torch._dynamo.utils.counters, set()

    def compute_loss(self, model, inputs, *args, compute_loss=CellTrainer.compute_loss, **kwargs):
        shapes.add(tuple(inputs["input_ids"].shape))
        return compute_loss(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(CellTrainer, "compute_loss", compute_loss)
    settings = ["task=rte", f"data.root={rte}", "model=tiny-bert", "kernel=4", "data.max_length=64", *NO_DROPOUT]
    settings += ["train.max_steps=6", "eval.every=3", "train.batch_size=8"]
    eager = records.read(run_cell(cell(*settings)))
    shapes.clear()
    counters.clear()
    compiled = records.read(run_cell(cell(*settings, "compile=true")))
    for one, other in zip(eager.history, compiled.history, strict=True):
        assert other.loss == pytest.approx(one.loss, rel=1e-4)
    assert {length for _, length in shapes} == {32, 64}
    variants = 2 * 2  # BERT drops a mask that masks nothing
    assert 0 < counters["stats"]["unique_graphs"] <= variants * len(shapes) + 1  # and the one that tries the compiler
    assert not counters["graph_break"]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["tiny-deberta", "tiny-bert"])
def test_logits_and_gradients_are_those_of_eager(any_device, model):
    torch._dynamo.reset()
    torch.manual_seed(0)
    config = configure("task=toy_pair", f"model={model}", "kernel=4")
    eager = methods.prepare(load.load_backbone(config).model, config).model.eval().to(any_device)
    for parameter in eager.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.2)
    compiled = copy.deepcopy(eager)
    compilation.use(load.layers(compiled))
    words = torch.randint(5, 500, (4, 32), device=any_device)
    inputs = {"input_ids": words, "attention_mask": torch.ones_like(words), "labels": words[:, 0] % 2}
    outputs = [each(**inputs) for each in (eager, compiled)]
    for output in outputs:
        output.loss.backward()
    torch.testing.assert_close(outputs[1].logits, outputs[0].logits, rtol=1e-4, atol=1e-5)
    for (name, one), other in zip(eager.named_parameters(), compiled.parameters(), strict=True):
        if one.requires_grad:
            assert (other.grad - one.grad).abs().max() <= 1e-4 * one.grad.abs().max(), name


@pytest.mark.slow
def test_without_a_compiler_one_line_says_so(command, tmp_path):
    cache = {"CXX": "no-such-compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = command("task=toy_pair", "model=tiny-bert", "compile=true", *SHORT, **cache)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: compile=true needs a C++ compiler; PyTorch's compiler says:")
    assert not (tmp_path / "results").exists()


@pytest.mark.gpu
@pytest.mark.parametrize("settings", [[], ["precision=bf16"], ["attention=flash"]], ids=["fp32", "bf16", "flash"])
def test_a_cell_trains_compiled_on_a_gpu(cell, settings):
    if "attention=flash" in settings:
        pytest.importorskip("disentangled_flash", reason="needs the kernels' package: pip install -e .[flash]")
    heads = ["model.random.hidden_size=128", "model.random.num_attention_heads=4", *NO_DROPOUT]
    base = ["task=toy_pair", "model=tiny-deberta", "kernel=4", "data.max_length=64", *heads, *SHORT, *settings]
    eager, compiled = (records.read(run_cell(cell(*base, *extra))) for extra in ([], ["compile=true"]))
    for one, other in zip(eager.history, compiled.history, strict=True):
        assert other.loss == pytest.approx(one.loss, rel=1e-2)
