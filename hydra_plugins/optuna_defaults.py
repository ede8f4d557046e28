"""`python run.py -m hydra/sweeper=optuna 'train.lr=tag(log, interval(1e-4, 1e-2))' ...` maximises the score of a cell.

hydra-optuna-sweeper (the extra `optuna`) would minimise it, and would stop at the first trial that diverges.
"""

from contextlib import suppress

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.plugins.search_path_plugin import SearchPathPlugin


class OptunaDefaults(SearchPathPlugin):
    """Hydra calls it after all plugins have stored their settings. A file in conf/ must not have a plugin's name."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        with suppress(ImportError):
            from hydra_plugins.hydra_optuna_sweeper.config import Direction, OptunaSweeperConf

            settings = OptunaSweeperConf(direction=Direction.maximize, n_jobs=1, max_failure_rate=1.0)
            ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=settings, provider="run.py")
