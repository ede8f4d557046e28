"""Composing many configurations fast: Hydra reads every YAML file again for each, this reads each file once."""

import copy
from typing import Any, cast

from hydra import version
from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.default_element import InputDefault, ResultDefault
from hydra.core.override_parser.types import Override
from omegaconf import MISSING, DictConfig, OmegaConf

from dcft.config import arguments
from dcft.config.conf import CONF

HYDRA_BASE = "1.3"  # the behaviour of Hydra that run.py asks for
ROOT = "config"  # conf/config.yaml
SEARCH_PATH = "hydra.searchpath"  # folders with more files, read after conf/


class Composer:
    """Composes what `python run.py OVERRIDES` would, several times as fast: without the `hydra` node, too."""

    def __init__(self) -> None:
        version.setbase(HYDRA_BASE)
        self._open: dict[tuple[str, ...], tuple[ConfigLoaderImpl, CachingConfigRepository]] = {}
        self._contents: dict[tuple[int, str | None, str | None], dict[str, Any]] = {}

    def __call__(self, overrides: list[str]) -> dict[str, Any]:
        """One configuration as plain dictionaries, interpolations unresolved.

        Raises:
            UserError, HydraException: if an override cannot be read or names nothing that there is.
        """
        parsed = arguments.parse(overrides)
        folders = [
            str(folder) for one in parsed if one.key_or_group == SEARCH_PATH for folder in arguments.plain(one.value())
        ]
        loader, files = self._read(tuple(folders))
        settings = [one for one in parsed if one.key_or_group != SEARCH_PATH]
        defaults = defaults_list.create_defaults_list(files, ROOT, settings, prepend_hydra=False, skip_missing=False)
        config: dict[str, Any] = {}
        for default in defaults.defaults:
            config = _merged(config, self._content(default, loader, files))
        return config | _changed(config, defaults.config_overrides, loader)

    def _content(
        self, default: ResultDefault, loader: ConfigLoaderImpl, files: CachingConfigRepository
    ) -> dict[str, Any]:
        """What one file says, below its package."""
        key = id(files), default.config_path, default.package
        if key not in self._contents:
            config = loader._load_single_config(default, files).config
            self._contents[key] = cast(dict[str, Any], OmegaConf.to_container(config))
        return self._contents[key]

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


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """OmegaConf's merge of plain dictionaries, in which "???" replaces no value; shares nothing with `above`."""
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, dict):
            old = merged.get(key)
            merged[key] = _merged(old if isinstance(old, dict) else {}, value)
        elif value != MISSING or key not in merged:
            merged[key] = copy.deepcopy(value)
    return merged


def _changed(config: dict[str, Any], overrides: list[Override], loader: ConfigLoaderImpl) -> dict[str, Any]:
    """The top-level settings that overrides touch, changed. OmegaConf gets no other: it takes 0.1 ms a value."""
    touched = {override.key_or_group.partition(".")[0] for override in overrides}
    changed = OmegaConf.create({key: config[key] for key in touched if key in config})
    OmegaConf.set_struct(changed, True)
    loader._apply_overrides_to_config(overrides, changed)
    return cast(dict[str, Any], OmegaConf.to_container(changed))


def _choices(overrides: defaults_list.Overrides, defaults_list: list[InputDefault], self_added: bool) -> DictConfig:
    """What `${...}` in a file's defaults list may stand for. Hydra makes it for files without one, too."""
    needed = any(default.is_interpolation() for default in defaults_list)
    return OmegaConf.create(overrides.known_choices if needed else {})


defaults_list._create_interpolation_map = _choices
