"""Composing many configurations fast: Hydra reads every YAML file again for each, this reads each file once."""

from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.defaults_list import create_defaults_list
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from dcft.config.conf import CONF

HYDRA_BASE = "1.3"  # the behaviour of Hydra that run.py asks for
ROOT = "config"  # conf/config.yaml
SEARCH_PATH = "hydra.searchpath"  # folders with more files, read after conf/


class Composer:
    """Composes what `python run.py OVERRIDES` would, several times as fast: without the `hydra` node, too."""

    def __init__(self) -> None:
        version.setbase(HYDRA_BASE)
        self._open: dict[tuple[str, ...], tuple[ConfigLoaderImpl, CachingConfigRepository]] = {}

    def __call__(self, overrides: list[str]) -> DictConfig:
        """One configuration, interpolations unresolved.

        Raises:
            HydraException: if an override cannot be read or names nothing that there is.
        """
        parsed = OverridesParser.create().parse_overrides(overrides)
        folders = [str(folder) for one in parsed if one.key_or_group == SEARCH_PATH for folder in plain(one.value())]
        loader, files = self._read(tuple(folders))
        settings = [one for one in parsed if one.key_or_group != SEARCH_PATH]
        defaults = create_defaults_list(files, ROOT, settings, prepend_hydra=False, skip_missing=False)
        config = OmegaConf.create()
        for default in defaults.defaults:  # Hydra's own loop saves copies, and so writes into what the cache keeps
            config.merge_with(loader._load_single_config(default, files).config)
        OmegaConf.set_struct(config, True)
        loader._apply_overrides_to_config(defaults.config_overrides, config)
        return config

    def _read(self, folders: tuple[str, ...]) -> tuple[ConfigLoaderImpl, CachingConfigRepository]:
        """The loader and the files, as far as read, of conf/ and of more folders."""
        if folders not in self._open:
            search_path = create_config_search_path(str(CONF.resolve()))
            for folder in folders:  # Hydra's own order: conf/ goes before them
                search_path.prepend(SEARCH_PATH, folder, anchor=SearchPathQuery(provider="schema"))
            loader = ConfigLoaderImpl(search_path)
            files = CachingConfigRepository(loader.repository)
            root: Any = files.load_config(ROOT)  # the cache keeps it as it is changed here
            root.config.pop("hydra")
            root.defaults_list = [
                one for one in root.defaults_list if not str(getattr(one, "group", "")).startswith("hydra/")
            ]
            self._open[folders] = loader, files
        return self._open[folders]


def plain(value: Any) -> Any:
    """The value of an override with Hydra's quoted strings as strings; lists and numbers as they are."""
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return value if value is None or isinstance(value, (bool, int, float, dict)) else str(getattr(value, "text", value))
