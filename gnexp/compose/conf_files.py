"""The files of conf/ and of a user's own directories, as Hydra finds and composes them."""

from __future__ import annotations

import copy
import functools
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gnexp.compose.overrides import explain, is_hydra, parse, values_of
from gnexp.compose.parts import SCHEMA, Parts
from gnexp.compose.schema import app_schema, require_kinds
from gnexp.config.experiment import ExperimentConfig
from gnexp.config.keys import DEFAULT_SCALE, GROUPS, conf_dir
from gnexp.config.kinds import offers

CONFIG_NAME = "config"
# What Hydra itself notes of a composition, and the launcher, which it takes from its own plugins alone.
_NOT_CODE = ("overrides", "runtime", "job", "launcher")


def register_schema() -> None:
    """Makes the schema known to Hydra, and the norms of installed packages: each a choice that names its kind alone."""
    store = ConfigStore.instance()
    store.store(name=SCHEMA, node=app_schema())
    for kind in offers().classes:
        store.store(group="norm", name=kind, node={"kind": kind})


class ConfFiles:
    """gnexp's conf/ and the user's directories.

    Args:
        directories: the user's, of `--config-dir` and `hydra.searchpath`.

    Raises:
        ValueError: a directory that does not exist.
    """

    def __init__(self, directories: Sequence[str] = ()) -> None:
        register_schema()
        path = create_config_search_path(str(conf_dir()))
        self._folders: list[Path] = []
        for directory in directories:
            place = directory.removeprefix("file://")
            if "://" not in place and not Path(place).is_dir():
                raise ValueError(f"there is no config directory {place}")
            # Before the schema, which Hydra wants last; after gnexp's own files, which no user's hides.
            url = place if "://" in place else f"file://{Path(place).resolve()}"
            path.prepend(provider="user", path=url, anchor=SearchPathQuery(provider="schema"))
            self._folders += [] if "://" in place else [Path(place)]
        self._loader = ConfigLoaderImpl(path)
        self.has_users = bool(directories)
        self._options: dict[str, list[str]] = {}
        self._chosen: dict[tuple[str, ...], DictConfig] = {}
        self._parts = Parts(self._loader, CONFIG_NAME, self.options)

    def options(self, group: str) -> list[str]:
        """The choices a group offers, the user's own included; a list of the caller's own."""
        if group not in self._options:  # Hydra reads its search path anew each time
            found = self._loader.get_group_options(group)
            self._options[group] = sorted(option for option in found if not option.startswith("_"))
        return list(self._options[group])

    def choices(self, overrides: Sequence[str]) -> Mapping[str, Any]:
        """What the files that overrides choose hold together, values set by overrides left out.

        Raises:
            ValueError: a file that cannot be read, or holds what the schema refuses.
        """
        found = [override for override in parse(overrides) if is_choice(override.key_or_group)]
        merged = None if self.has_users else self._parts.merge(found)
        return self._choose(overrides) if merged is None else merged

    def merge(self, overrides: Sequence[str]) -> Mapping[str, Any]:
        """The config that overrides make, as plain values that nothing may change; see `compose`.

        Of gnexp's own files it is put together of parts that Hydra has composed before.

        Raises:
            ValueError: a key, a choice or a value that the schema refuses.
        """
        merged = None if self.has_users else self._parts.merge(parse(overrides))
        if merged is None:
            merged = to_plain(self.compose(overrides))
        return merged

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The config that overrides make, Hydra's own part left out, composed by Hydra as a whole.

        Raises:
            ValueError: a key, a choice or a value that the schema refuses.
        """
        values = [o for o in parse(overrides) if not is_choice(o.key_or_group) and not is_hydra(o)]
        config = copy.deepcopy(self._choose(overrides))
        try:
            ConfigLoaderImpl._apply_overrides_to_config(values, config)
        except (HydraException, OmegaConfBaseException) as error:
            raise ValueError(explain(error)) from None
        return config

    def whole(self, overrides: Sequence[str]) -> DictConfig:
        """The config that overrides make, Hydra's own part in it; composed anew each time.

        Raises:
            ValueError: a key, a choice or a value that the schema refuses, or a file that names no kind.
        """
        try:
            config = self._loader.load_configuration(CONFIG_NAME, list(overrides), RunMode.RUN)
        except (HydraException, OmegaConfBaseException) as error:
            raise ValueError(explain(error)) from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            self._blame_a_file(error)
        require_kinds(config, lambda group: self._file(group, config.hydra.runtime.choices[group]))
        return config

    def alone(self, group: str, overrides: Sequence[str]) -> Mapping[str, Any]:
        """What the file that overrides choose for a group makes of its section by itself, whatever the scale says.

        Raises:
            ValueError: a file that cannot be read by itself, or holds what the schema refuses.
        """
        given = {o.key_or_group: values_of(o)[0] for o in parse(overrides) if o.key_or_group in GROUPS}
        if group not in given and self.has_users:  # whose scales and experiments may choose anything
            choices = [o for o in overrides if is_choice(o.partition("=")[0])]
            given[group] = self.whole(choices).hydra.runtime.choices[group]
        scale = str(given.get("scale", DEFAULT_SCALE))
        return self._parts.alone(group, str(given.get(group) or self._parts.default(group, scale)))

    def _file(self, group: str, option: str) -> Path:
        """The file of a choice: gnexp's own goes before a user's of the same name."""
        places = [folder / group / f"{option}.yaml" for folder in (conf_dir(), *self._folders)]
        return next((place for place in places if place.is_file()), Path(group, f"{option}.yaml"))

    def experiment(self, name: str, scale: str) -> ExperimentConfig:
        """An experiment's file; a user's may hold other things at another scale.

        Raises:
            ValueError: the schema refuses it.
        """
        if not self.has_users:
            return self._parts.experiment(name)
        node = self._choose([f"experiment={name}", f"scale={scale}"]).experiment
        return typing.cast(ExperimentConfig, OmegaConf.to_object(node))

    def _choose(self, overrides: Sequence[str]) -> DictConfig:
        """What the files that overrides choose hold together, shared by all that choose the same."""
        found = {o.key_or_group: o.input_line or "" for o in parse(overrides) if is_choice(o.key_or_group)}
        choices = tuple(sorted(found.values()))  # of a group chosen twice the last
        if choices not in self._chosen:
            self._chosen[choices] = self._compose(choices)
        return self._chosen[choices]

    def _compose(self, choices: Sequence[str]) -> DictConfig:
        config = self.whole(choices)
        if self.has_users and choices:
            self._check_hydra(config)
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        OmegaConf.set_struct(config, True)
        return config

    def _check_hydra(self, config: DictConfig) -> None:
        """Refuses a user's file that sets Hydra's own part, whose callbacks and logging can name any code."""
        own = self._loader.load_configuration(CONFIG_NAME, [], RunMode.RUN).hydra
        for key in own:
            if key not in _NOT_CODE and config.hydra[key] != own[key]:
                raise ValueError(f"a config file sets hydra.{key}: configs choose values and name no code")
        if not str(config.hydra.launcher._target_).startswith(("hydra_plugins.", "hydra._internal.")):
            raise ValueError(f"{config.hydra.launcher._target_} is no launcher of Hydra's plugins")

    def _blame_a_file(self, error: Exception) -> NoReturn:
        """Raises the line about the user's file that Hydra could not read, which its own words do not always name.

        Raises:
            ValueError: there is such a file.
            Exception: the error itself, where every file can be read.
        """
        if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
            raise ValueError(_described(error, error.problem_mark.name)) from None
        for folder in self._folders:
            for path in sorted(folder.rglob("*.yaml")):
                if fault := _fault(path):
                    raise ValueError(fault) from None
        raise error


def conf_files(directories: Sequence[str] = ()) -> ConfFiles:
    """The files with the user's directories; gnexp's own alone are composed once a process.

    Raises:
        ValueError: as ConfFiles.
    """
    return ConfFiles(directories) if directories else _own_files(conf_dir(), tuple(offers().classes))


@functools.cache
def _own_files(place: Path, norms: tuple[str, ...]) -> ConfFiles:
    """The files of gnexp's own conf/, with the norms of installed packages."""
    return ConfFiles()


def to_plain(config: DictConfig) -> dict[str, Any]:
    """A composed config as plain values."""
    return typing.cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))


def is_choice(key: str) -> bool:
    """Whether a key of an override chooses a file."""
    return key in GROUPS or key.startswith("hydra/")


def _fault(path: Path) -> str:
    """What is wrong with a file's characters, with its line; empty where nothing is."""
    content = path.read_bytes()
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return (
            f"{path}, line {line}: the byte 0x{content[error.start]:02x} is no UTF-8; save the file as UTF-8"
        )
    try:
        yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        return _described(error, str(path))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return f"{path}, line {line}: the character #x{ord(text[error.position]):04x} is not allowed in YAML"
    return ""


def _described(error: yaml.MarkedYAMLError, path: str) -> str:
    mark = error.problem_mark or error.context_mark
    hint = "; indent with spaces" if "'\\t'" in str(error.problem) else ""
    return f"{path}, line {mark.line + 1 if mark else 1}: {error.problem or error.context}{hint}"
