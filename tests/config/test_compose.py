"""The fast composer gives what Hydra does, whatever it has composed before."""

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from dcft.config.compose import Composer
from tests.conftest import ROOT

# Each leaves something out that one before it has: a package, spans, thresholds, a task's or a method's preset.
CELLS = [
    ["task=toy_qa", "model=minilm-l6", "method=sora"],
    ["task=toy_pair", "model=tiny-bert", "method=hadapter", "train.lr=1e-3"],
    ["task=squad_v2", "model=deberta-v3-base", "method=lora", "preset=table9"],
    ["task=cola", "model=roberta-large", "method=bitfit", "preset=script"],
    ["task=rte", "model=deberta-v3-base", "method=dcft", "+model.random.layers=1"],
]


def test_a_configuration_is_hydra_s_whatever_came_before():
    fast = Composer()
    for overrides in CELLS:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            expected = compose("config", overrides=overrides)
        assert fast(overrides) == OmegaConf.to_container(expected)
