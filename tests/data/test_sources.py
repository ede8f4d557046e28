"""Three sources, one interface: the Hub's layout, official local files, and the generator."""

import os

import datasets
import huggingface_hub
import pytest
from datasets import Dataset

from dcft.data import hub, sources, toy
from dcft.errors import UserError

RTE = "index\tsentence1\tsentence2\tlabel\n"


@pytest.fixture
def rte_root(tmp_path):
    folder = tmp_path / "data" / "glue" / "RTE"
    folder.mkdir(parents=True)
    for split, rows in (("train", 5), ("dev", 3)):
        lines = [f"{i}\tpremise {i}\thypothesis {i}\tentailment\n" for i in range(rows)]
        (folder / f"{split}.tsv").write_text(RTE + "".join(lines))
    return tmp_path / "data"


@pytest.fixture
def hub_repository(tmp_path, monkeypatch):
    """A data set repository in the layout of nyu-mll/glue: parquet files and a README that names them."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    root = tmp_path / "repository"
    (root / "rte").mkdir(parents=True)
    for split, rows in (("train", 2490), ("validation", 277)):
        Dataset.from_list(
            [{"sentence1": f"p{i}", "sentence2": f"h{i}", "label": i % 2, "idx": i} for i in range(rows)]
        ).to_parquet(root / "rte" / f"{split}-00000-of-00001.parquet")
    (root / "README.md").write_text(
        "---\nconfigs:\n- config_name: rte\n  data_files:\n  - split: train\n    path: rte/train-*\n"
        "  - split: validation\n    path: rte/validation-*\n---\n"
    )
    return root


def test_the_hub_s_columns_and_splits_become_ours(cell, hub_repository):
    config = cell("task=rte", "model=tiny-bert", f"task.hub.path={hub_repository}", "task.hub.revision=null")
    splits, source = sources.load_data(config)
    assert {name: len(data) for name, data in splits.items()} == {"train": 2490, "dev": 277}
    assert splits["dev"][1] == {"text": "p1", "pair": "h1", "label": 1}
    assert source.source == "hub"
    assert source.complete


def test_a_hub_revision_that_is_not_whole_is_refused(cell, hub_repository):
    short = Dataset.from_list([{"sentence1": "p", "sentence2": "h", "label": 0, "idx": 0}])
    short.to_parquet(hub_repository / "rte" / "validation-00000-of-00001.parquet")
    config = cell("task=rte", "model=tiny-bert", f"task.hub.path={hub_repository}", "task.hub.revision=null")
    with pytest.raises(UserError, match="not the pinned ones .*dev 1 of 277"):
        sources.load_data(config)


def test_without_a_network_one_line_names_the_ways_out(cell):
    with pytest.raises(UserError, match=r"nyu-mll/glue is not .* cannot be reached.*data\.root=PATH.*task=toy_cls"):
        sources.load_data(cell("task=rte", "model=tiny-bert"))


def test_local_files_that_are_a_part_run_and_are_marked(cell, rte_root, caplog):
    splits, source = sources.load_data(cell("task=rte", "model=tiny-bert", f"data.root={rte_root}"))
    assert splits["train"][0] == {"text": "premise 0", "pair": "hypothesis 0", "label": 0}
    assert source.source == "local"
    assert not source.complete
    assert "train 5 of 2490" in caplog.text


def test_rows_can_be_limited(cell, rte_root):
    limits = ("data.max_train=4", "data.max_eval=2")
    splits, source = sources.load_data(cell("task=rte", "model=tiny-bert", f"data.root={rte_root}", *limits))
    assert {name: len(data) for name, data in splits.items()} == {"train": 4, "dev": 2}
    assert source.rows == {"train": 5, "dev": 3}


@pytest.mark.parametrize("task", ["toy_cls", "toy_pair", "toy_sim", "toy_qa"])
def test_toy_data_are_complete_and_labelled(cell, task):
    splits, source = sources.load_data(cell(f"task={task}", "model=tiny-bert"))
    assert {name: len(data) for name, data in splits.items()} == toy.ROWS
    assert source.source == "toy"
    assert source.complete


def test_toy_data_are_the_same_everywhere_and_fair(cell, tmp_path):
    toy.write(tmp_path / "one")
    toy.write(tmp_path / "two")
    for path in sorted((tmp_path / "one").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
    for task in ("toy_cls", "toy_pair"):
        labels = sources.load_data(cell(f"task={task}", "model=tiny-bert"))[0]["train"]["label"]
        assert 0.4 < sum(labels) / len(labels) < 0.6
    assert len(list(tmp_path.iterdir())) == 3, "a temporary folder was left behind"  # one, two, outputs


@pytest.mark.parametrize(
    ("overrides", "needed"),
    [
        (["task=rte", "model=tiny-bert"], True),
        (["task=toy_cls", "model=deberta-v3-base"], True),
        (["task=toy_cls", "model=tiny-bert"], False),
    ],
)
def test_only_runs_that_need_the_hub_ask_for_it(cell, overrides, needed):
    assert hub.needs_hub(cell(*overrides)) is needed


def test_an_unreachable_hub_means_the_cache(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    for module in (huggingface_hub.constants, datasets.config):  # imported long ago
        monkeypatch.setattr(module, "HF_HUB_OFFLINE", False)
    hub.prefer_cache_if_offline()
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert huggingface_hub.constants.HF_HUB_OFFLINE
    assert datasets.config.HF_HUB_OFFLINE
