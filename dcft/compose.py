"""Composing many configurations fast: Hydra reads every YAML file again for each, this reads each file once."""

import copy

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.utils import create_config_search_path
from hydra.types import RunMode
from omegaconf import DictConfig

from dcft.errors import CONF

HYDRA_BASE = "1.3"  # the behaviour of Hydra that run.py asks for


class _SharedRepository(CachingConfigRepository):
    """Hydra copies its repository for every composition; a copy of this one is this one, with all that it has read."""

    def __deepcopy__(self, memo):
        return self

    def load_config(self, config_path):
        # Hydra merges what it has loaded without a copy, and overrides change it in place.
        return copy.deepcopy(super().load_config(config_path))


class Composer:
    """Composes what `python run.py OVERRIDES` would, twice as fast as `hydra.compose` from the second time on."""

    def __init__(self):
        version.setbase(HYDRA_BASE)
        self._loader = ConfigLoaderImpl(create_config_search_path(str(CONF.resolve())))
        self._loader.repository = _SharedRepository(self._loader.repository)

    def __call__(self, overrides: list[str]) -> DictConfig:
        """One configuration, interpolations unresolved, with its `hydra` node.

        Raises:
            HydraException: if an override cannot be read or names nothing that there is.
        """
        return self._loader.load_configuration("config", overrides, run_mode=RunMode.RUN, from_shell=False)
