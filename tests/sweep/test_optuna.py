"""`hydra/sweeper=optuna` tunes a cell for the score that run.py returns."""

import json

import pytest
import yaml

from tests.conftest import SHORT

pytestmark = pytest.mark.slow
TUNED = ["-m", "hydra/sweeper=optuna", "task=toy_cls", "model=tiny-bert", "method=dcft", *SHORT]


@pytest.fixture(autouse=True)
def _package():
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="needs pip install -e .[optuna]")


def test_four_trials_find_the_best_score(command, tmp_path):
    search = [*TUNED, "hydra.sweeper.sampler.seed=1", "train.lr=tag(log, interval(1e-4, 1e-1))"]
    assert command(*search, "hydra.sweeper.n_trials=3").returncode == 0
    ended = command(*search, "hydra.sweeper.n_trials=4")  # goes on from the records
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("4 steps") == 1
    found = yaml.safe_load((tmp_path / "outputs" / "launcher" / "optimization_results.yaml").read_text())
    records = [json.loads(path.read_text()) for path in tmp_path.glob("results/runs/*/*/*.json")]
    assert len(records) == 4
    best = max(record["score"] for record in records)
    assert found["best_value"] == best
    assert found["best_params"]["train.lr"] in [r["config"]["train"]["lr"] for r in records if r["score"] == best]


def test_a_trial_that_diverges_does_not_end_the_search(command, tmp_path):
    sampler = ["hydra/sweeper/sampler=random", "hydra.sweeper.sampler.seed=1", "hydra.sweeper.n_trials=4"]
    wild = [*TUNED, "train.warmup=0", "train.clip=1e30", *sampler]
    ended = command(*wild, "train.lr=1e30,1e-3")
    assert ended.returncode == 0, ended.stderr
    assert "nan at step" in ended.stderr
    found = yaml.safe_load((tmp_path / "outputs" / "launcher" / "optimization_results.yaml").read_text())
    assert found["best_params"] == {"train.lr": 0.001}
    hopeless = command(*wild, "train.lr=1e30,1e31")
    assert hopeless.returncode == 1
    assert hopeless.stderr.splitlines()[-1] == "error: no trial gave a score; the lines above say why"
