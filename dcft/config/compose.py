"""Composing many configurations fast: Hydra reads every YAML file again for each, this reads each file once."""

from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.defaults_list import create_defaults_list
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from dcft.config.conf import CONF

HYDRA_BASE = "1.3"  # the behaviour of Hydra that run.py asks for
ROOT = "config"  # conf/config.yaml


class Composer:
    """Composes what `python run.py OVERRIDES` would, several times as fast: without the `hydra` node, too."""

    def __init__(self) -> None:
        version.setbase(HYDRA_BASE)
        self._loader = ConfigLoaderImpl(create_config_search_path(str(CONF.resolve())))
        self._files = CachingConfigRepository(self._loader.repository)
        root: Any = self._files.load_config(ROOT)  # the cache keeps it as it is changed here
        root.config.pop("hydra")
        root.defaults_list = [
            one for one in root.defaults_list if not str(getattr(one, "group", "")).startswith("hydra/")
        ]

    def __call__(self, overrides: list[str]) -> DictConfig:
        """One configuration, interpolations unresolved.

        Raises:
            HydraException: if an override cannot be read or names nothing that there is.
        """
        parsed = OverridesParser.create().parse_overrides(overrides)
        defaults = create_defaults_list(self._files, ROOT, parsed, prepend_hydra=False, skip_missing=False)
        config = OmegaConf.create()
        for default in defaults.defaults:  # Hydra's own loop saves copies, and so writes into what the cache keeps
            config.merge_with(self._loader._load_single_config(default, self._files).config)
        OmegaConf.set_struct(config, True)
        self._loader._apply_overrides_to_config(defaults.config_overrides, config)
        return config
