"""Finished cells, trained once a test session and worker."""

import pytest

from dcft.training.run import run_cell
from tests.conftest import ADALORA_SHORT, SHORT, configure

KINDS = {
    "dcft": ["task=toy_pair", "model=tiny-bert", "method=dcft"],
    "bitfit": ["task=toy_cls", "model=tiny-roberta", "method=bitfit"],
    "adalora": ["task=toy_cls", "model=tiny-bert", "method=adalora", *ADALORA_SHORT],
    "sora": ["task=toy_sim", "model=tiny-bert", "method=sora"],
    "hadapter": ["task=toy_cls", "model=tiny-bert", "method=hadapter"],
    "span": ["task=toy_qa", "model=tiny-bert", "method=dcft"],
    "positions": ["task=toy_cls", "model=tiny-deberta", "method=dcft", "kernel=4", "method.position_queries=base"],
}


@pytest.fixture(scope="session")
def trained_cells(tmp_path_factory):
    """By kind: the results folder and the path of the record."""
    folder, made = tmp_path_factory.mktemp("cells"), {}

    def make(kind: str):
        if kind not in made:
            places = [f"results.dir={folder}/results", f"outputs.dir={folder}/outputs"]
            made[kind] = run_cell(configure(*KINDS[kind], *SHORT, "train.lr=1e-2", *places))
        return folder / "results", made[kind]

    return make
