"""An exported model answers as the cell's own, in libraries that do not know this project."""

import json
import os
import subprocess
import sys
from textwrap import dedent

import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from dcft.inference import trained
from dcft.training.run import run_cell
from tests.conftest import SHORT, configure
from tests.faults import stand_in

TEXTS = ["the plot is moving", "the cast is dull and the ending is clever ."]


def logits(model, tokenizer) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(**tokenizer(TEXTS, return_tensors="pt", padding=True)).logits


@pytest.fixture(scope="module")
def on_a_backbone(tmp_path_factory):
    """A DCFT cell on a backbone that lies in a folder: the results folder, the cell's name, the backbone's folder."""
    folder = tmp_path_factory.mktemp("backbone")
    backbone = configure("task=toy_cls", "model=tiny-bert")
    from dcft.backbones import load

    loaded = load.load_backbone(backbone)
    for part in (loaded.model, loaded.tokenizer):
        part.save_pretrained(folder / "backbone")
    places = [f"results.dir={folder}/results", f"outputs.dir={folder}/outputs"]
    settings = ["task=toy_cls", "model=minilm-l6", f"model.path={folder}/backbone", "method=dcft", "kernel=4"]
    path = run_cell(configure(*settings, *SHORT, "train.lr=1e-2", *places))
    return folder / "results", path.stem, folder / "backbone"


@pytest.mark.slow
def test_stock_peft_loads_the_lora(on_a_backbone, script, tmp_path):
    results, cell, backbone = on_a_backbone
    done = script("export", cell, "--as", "lora", "--output", tmp_path / "lora", "--results", results)
    assert done.returncode == 0, done.stderr
    expected = logits(*_loaded(results, cell))
    code = f"""
        import sys
        import torch
        from peft import PeftModel
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        base = AutoModelForSequenceClassification.from_pretrained({str(backbone)!r}, num_labels=2)
        model = PeftModel.from_pretrained(base, "lora").eval()
        batch = AutoTokenizer.from_pretrained("lora")({TEXTS!r}, return_tensors="pt", padding=True)
        assert not any(name.partition(".")[0] == "dcft" for name in sys.modules)
        with torch.no_grad():
            print(model(**batch).logits.tolist())
    """
    command = [sys.executable, "-c", dedent(code)]
    shown = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=True).stdout
    torch.testing.assert_close(torch.tensor(json.loads(shown)), expected, rtol=0, atol=1e-5)


def _loaded(results, cell):
    loaded = trained.load_model(trained.find(cell, results))
    return loaded.model, loaded.tokenizer


def test_an_exported_adapter_is_used_like_the_cell(on_a_backbone, script, tmp_path):
    results, cell, _ = on_a_backbone
    done = script("export", cell, "--output", "adapter", "--results", results)
    assert done.returncode == 0, done.stderr
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] is None  # a folder of this machine is nobody's backbone
    done = script("score", tmp_path / "adapter", "--results", tmp_path / "none")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the same") == 2


@pytest.mark.parametrize("kind", ["dcft", "bitfit", "adalora", "positions"])
def test_transformers_loads_the_merged_model(trained_cells, script, tmp_path, kind):
    """`positions`: DeBERTa's position queries, which keep the frozen projection, get one of their own."""
    results, path = trained_cells(kind)
    done = script("export", path.stem, "--as", "merged", "--output", "merged", "--results", results)
    assert done.returncode == 0, done.stderr
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged")
    task = trained.find(path.stem, results).config.task
    assert list(model.config.id2label.values()) == task.labels
    expected = logits(*_loaded(results, path.stem))
    got = logits(model, AutoTokenizer.from_pretrained(tmp_path / "merged"))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


def test_the_card_says_what_the_model_is(trained_cells, script, tmp_path):
    results, path = trained_cells("dcft")
    script("export", path.stem, "--as", "merged", "--output", "merged", "--results", results)
    card = ModelCard.load(tmp_path / "merged" / "README.md")
    assert card.data.library_name == "transformers"
    toy = ("Toy data", "Substitute backbone")
    for said in (*toy, "seed 6", "method=dcft data.max_train=64", "best evaluation on dev"):
        assert said in card.text


@pytest.mark.parametrize(
    ("kind", "form", "line"),
    [
        ("dcft", "lora", "whose weights are random; give --as merged"),
        ("bitfit", "adapter", "has no adapter: its method trains the backbone itself; give --as merged"),
        ("hadapter", "merged", "cannot be merged"),
    ],
)
def test_a_form_that_a_model_does_not_have_is_refused(trained_cells, script, tmp_path, kind, form, line):
    results, path = trained_cells(kind)
    done = script("export", path.stem, "--as", form, "--output", "out", "--results", results)
    assert done.returncode == 1
    assert line in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("*out*"))


def test_position_queries_with_the_frozen_projection_are_no_lora(trained_cells, monkeypatch):
    from dcft.errors import UserError
    from dcft.inference import export

    results, path = trained_cells("positions")
    loaded = trained.load_model(trained.find(path.stem, results))
    monkeypatch.setattr(loaded.source.config.model, "random", None)
    with pytest.raises(UserError, match="which no LoRA does; give --as merged"):
        export._lora(loaded, path.parent)


def test_a_folder_with_files_is_not_written_into(trained_cells, script, tmp_path):
    results, path = trained_cells("dcft")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").touch()
    done = script("export", path.stem, "--as", "merged", "--output", "out", "--results", results)
    assert "out is there already" in done.stderr


def test_without_a_login_nothing_is_uploaded(trained_cells, script):
    results, path = trained_cells("dcft")
    merged = ["--as", "merged", "--output", "out", "--results", results]
    done = script("export", path.stem, *merged, "--push-to-hub", "me/model")
    assert "not logged in to the Hub" in done.stdout
    assert "model.safetensors" in done.stdout


@pytest.mark.slow
def test_a_login_uploads_every_file(trained_cells, tmp_path):
    results, path = trained_cells("dcft")
    code = f"""
        from pathlib import Path
        from dcft.inference import export, push, trained

        export.export(trained.load_model(trained.find({path.stem!r}, Path({str(results)!r}))), "merged", Path("out"))
        print(push.push(Path("out"), "me/model"))
    """
    taken = {}
    with stand_in.serving(stand_in.html) as server:
        server.answer = stand_in.upload(server.address, taken)
        environment = os.environ | {"HF_ENDPOINT": server.address, "HF_TOKEN": "hf_x", "HF_HUB_OFFLINE": "0"}
        command = [sys.executable, "-c", dedent(code)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert "uploaded to" in done.stdout
        assert taken == {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
