"""The cache of tokens: what is taken from it is what a fresh encoding gives, whatever has changed since."""

from pathlib import Path
from types import SimpleNamespace

import datasets
import pytest
from datasets import Dataset
from tokenizers import normalizers

from dcft.backbones import load
from dcft.data import encode
from dcft.errors import UserError
from tests.conftest import configure

RTE = "index\tsentence1\tsentence2\tlabel\tscore\n"
LABELS = ["entailment", "not_entailment"]


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data" / "glue" / "RTE"
    folder.mkdir(parents=True)
    for split in ("train", "dev"):
        rows = [f"{i}\tthe Red ball {i}\tthe blue Box\t{LABELS[i % 2]}\t{i % 3}\n" for i in range(6)]
        (folder / f"{split}.tsv").write_text(RTE + "".join(rows))
    return tmp_path / "data"


def encoded(folder: Path, *overrides: str, change=lambda tokenizer: None) -> dict[str, list]:
    """All columns of train and dev, through the cache in `folder`."""
    config = configure("model=tiny-bert", *overrides, f"outputs.dir={folder}")
    tokenizer = load.load_tokenizer(config.model)
    change(tokenizer)
    data = encode.prepare(config, tokenizer)
    return data.train.to_dict() | {f"dev {name}": values for name, values in data.dev.to_dict().items()}


def assert_fresh(tmp_path, before: list[str], after: list[str], **change):
    first, second = encoded(tmp_path / "one", *before), encoded(tmp_path / "one", *after, **change)
    assert repr(second) != repr(first), "the change changes nothing: nothing was tested"
    assert second == encoded(tmp_path / "two", *after, **change)


@pytest.mark.parametrize(
    "setting",
    [
        "task.labels=[not_entailment,entailment]",
        "task.columns.text=sentence2",
        "~task.columns.pair",
        "+task.header=[index,sentence2,sentence1,label,score]",
        "data.max_train=4",
        "data.max_length=8",
    ],
)
def test_changed_settings_of_local_files_are_encoded_anew(setting, root, tmp_path):
    base = ["task=rte", f"data.root={root}", "task.labels=[entailment,not_entailment,label]"]
    assert_fresh(tmp_path, base, [*base, setting])


def test_changed_kind_is_encoded_anew(root, tmp_path):
    base = ["task=rte", f"data.root={root}", "task.columns.label=score", "task.labels=['0','1','2']"]
    assert_fresh(tmp_path, base, [*base, "task.kind=regression", "task.metric=correlation", "task.score=[pearson]"])


def test_changed_splits_and_columns_of_the_hub_are_encoded_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "repository" / "rte"
    folder.mkdir(parents=True)
    for split, sign in (("train", 1), ("validation", 2)):
        rows = [{"sentence1": f"p{i * sign}", "sentence2": f"h{i}", "label": i % 2} for i in range(4)]
        Dataset.from_list(rows).to_parquet(folder / f"{split}-00000-of-00001.parquet")
    (tmp_path / "repository" / "README.md").write_text(
        "---\nconfigs:\n- config_name: rte\n  data_files:\n  - split: train\n    path: rte/train-*\n"
        "  - split: validation\n    path: rte/validation-*\n---\n"
    )
    base = ["task=rte", f"task.hub.path={tmp_path}/repository", "task.hub.revision=null", "task.rows={train:4,dev:4}"]
    assert_fresh(tmp_path, base, [*base, "task.hub.columns.text=sentence2", "task.hub.columns.pair=sentence1"])
    assert_fresh(tmp_path, base, [*base, "task.hub.splits={train:validation,dev:train}"])


@pytest.mark.parametrize(
    "change",
    [
        lambda tokenizer: setattr(tokenizer.backend_tokenizer, "normalizer", normalizers.Lowercase()),
        lambda tokenizer: setattr(tokenizer, "model_input_names", ["input_ids"]),
        lambda tokenizer: tokenizer.add_tokens(["Red"]),
    ],
)
def test_another_tokenizer_under_the_same_name_encodes_anew(change, root, tmp_path):
    base = ["task=rte", f"data.root={root}"]
    assert_fresh(tmp_path, base, base, change=change)


def test_the_side_that_is_cut_is_part_of_the_key(root, tmp_path):
    base = ["task=rte", f"data.root={root}", "data.max_length=8"]
    assert_fresh(tmp_path, base, base, change=lambda tokenizer: setattr(tokenizer, "truncation_side", "left"))


def test_the_same_rows_are_encoded_once_wherever_they_lie(root, tmp_path):
    first = encoded(tmp_path / "one", "task=rte", f"data.root={root}")
    moved = root.rename(root.with_name("moved"))

    def use(tokenizer):
        """Leave another length in its state; the cache must not take that for another tokenizer."""
        tokenizer(["red"], truncation=True, max_length=9, padding="max_length")

    assert encoded(tmp_path / "one", "task=rte", f"data.root={moved}", change=use) == first
    assert len(list((tmp_path / "one" / "cache" / "tokens").glob("*.arrow"))) == 2


@pytest.mark.parametrize("task", ["toy_pair", "toy_qa"])
def test_no_row_is_longer_than_the_model_allows(task, tmp_path):
    settings = [f"task={task}", *(["task.doc_stride=2"] if task == "toy_qa" else [])]
    shorten = lambda tokenizer: setattr(tokenizer, "model_max_length", 14)  # noqa: E731
    lengths = [len(row) for row in encoded(tmp_path, *settings, change=shorten)["input_ids"]]
    assert max(lengths) == 14


def test_a_slow_tokenizer_is_refused_in_one_line():
    with pytest.raises(UserError, match="SimpleNamespace is a slow tokenizer; save a fast one"):
        encode._tokenizer_digest(SimpleNamespace(is_fast=False))
