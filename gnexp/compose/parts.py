"""gnexp's own files, each composed by Hydra once, merged as plain values: what a grid's cells are made of.

A part is what one file of a group makes of its section of the config at one scale. A run takes one of each group, so
that many cells are few parts. What only Hydra can read is left to it: a user's files, ${...}, a whole section as a
value.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gnexp.compose.overrides import explain, is_hydra, values_of
from gnexp.compose.schema import require_kinds
from gnexp.config.experiment import ExperimentConfig
from gnexp.config.keys import DEFAULT_SCALE, GROUPS, conf_dir

SCHEMA = "_app"  # with an underscore, so that it is no visible option
_SECTIONS = tuple(group for group in GROUPS if group not in ("scale", "experiment"))


class _Base(NamedTuple):
    """A scale: what holds before any group's choice."""

    config: DictConfig  # of the default choices, with the schema's types
    options: dict[str, str]  # group -> its default choice
    body: DictConfig  # of the scale's file, which goes over every choice
    plain: dict[str, Any]


class _Part(NamedTuple):
    """A choice: its section alone, at the place that it has in the whole."""

    config: DictConfig
    plain: dict[str, Any]


class Parts:
    """The parts that were asked for so far.

    Args:
        loader: Hydra's, of gnexp's conf/ alone.
        config_name: of the file that holds all groups.
        options: the choices that a group offers.
    """

    def __init__(
        self, loader: ConfigLoaderImpl, config_name: str, options: Callable[[str], list[str]]
    ) -> None:
        self._loader = loader
        self._config_name = config_name
        self._options = options
        self._files = CachingConfigRepository(loader.repository)
        self._schema = self._body(SCHEMA)
        self._bases: dict[str, _Base] = {}
        self._parts: dict[tuple[str, str, str], _Part] = {}
        self._experiments: dict[str, ExperimentConfig] = {}
        self._values: dict[tuple[str, str, str, str], Any] = {}

    def merge(self, overrides: Sequence[Override]) -> dict[str, Any] | None:
        """The config that overrides make, Hydra's own part and experiment left out; None where Hydra has to read it.

        What it holds may be shared with other configs: nothing may change it.

        Raises:
            ValueError: a key or a value that the schema refuses.
        """
        read = self._read(overrides)
        if read is None:
            return None
        chosen, values = read
        scale = chosen.pop("scale", DEFAULT_SCALE)
        base = self._base(scale)
        options = {group: chosen.get(group, base.options[group]) for group in _SECTIONS}
        merged = base.plain | {group: self._part(group, options[group], scale).plain for group in _SECTIONS}
        for override in values:
            section, dot, key = override.key_or_group.partition(".")
            value = self._value(section, options.get(section, ""), scale, override)
            if dot:
                merged[section] = {**merged[section], key: value}
            else:
                merged[section] = value
        return merged

    def alone(self, group: str, option: str) -> Mapping[str, Any]:
        """What a group's file makes of its section by itself, whatever the scale.

        Raises:
            ValueError: the schema refuses it.
        """
        place = (group, option, "")  # as of a scale that leaves the group as it is
        if place not in self._parts:
            config = self._compose(group, option, {})
            try:
                self._parts[place] = _Part(config, _plain(config)[group])
            except OmegaConfBaseException as error:  # ${...} of a user's file may stand for what is elsewhere
                raise ValueError(explain(error)) from None
        found: Mapping[str, Any] = self._parts[place].plain
        return found

    def default(self, group: str, scale: str) -> str:
        """The option that a scale has for a group."""
        return self._base(scale).options[group]

    def experiment(self, name: str) -> ExperimentConfig:
        """An experiment's file.

        Raises:
            ValueError: the schema refuses it.
        """
        if name not in self._experiments:
            node = self._compose("experiment", name, {}).experiment
            self._experiments[name] = typing.cast(ExperimentConfig, OmegaConf.to_object(node))
        return self._experiments[name]

    def _read(self, overrides: Sequence[Override]) -> tuple[dict[str, str], list[Override]] | None:
        """The choices, by group, and the values among overrides; None where Hydra has to read one."""
        chosen: dict[str, str] = {}
        values: list[Override] = []
        for override in overrides:
            key = override.key_or_group
            if is_hydra(override) or key == "experiment":
                continue
            if "${" in (override.input_line or "") or key.count(".") > 1:
                return None
            if key in GROUPS:
                option = values_of(override)[0]
                if override.is_sweep_override() or option not in self._options(key):
                    return None
                chosen[key] = option
            else:
                values.append(override)
        return chosen, values

    def _base(self, scale: str) -> _Base:
        if scale not in self._bases:
            config = self._loader.load_configuration(self._config_name, [f"scale={scale}"], RunMode.RUN)
            options = {group: str(config.hydra.runtime.choices[group]) for group in _SECTIONS}
            OmegaConf.set_struct(config, False)
            del config["hydra"]
            OmegaConf.set_struct(config, True)
            self._bases[scale] = _Base(config, options, self._body(f"scale/{scale}"), _plain(config))
        return self._bases[scale]

    def _part(self, group: str, option: str, scale: str) -> _Part:
        over = self._base(scale).body.get(group)
        place = (group, option, "" if over is None else scale)  # most scales leave a choice as it is
        if place not in self._parts:
            config = self._compose(group, option, {} if over is None else {group: over})
            self._parts[place] = _Part(config, _plain(config)[group])
        return self._parts[place]

    def _compose(self, group: str, option: str, over: dict[str, Any]) -> DictConfig:
        """A group's section as Hydra composes it of the option's file and its defaults, checked by the schema."""
        self._files.cache.clear()  # what has been merged may be part of a config
        config = OmegaConf.create({group: self._schema._get_node(group)})  # a copy
        try:
            defaults = create_defaults_list(
                repo=self._files,
                config_name=f"{group}/{option}",
                overrides_list=[],
                prepend_hydra=False,
                skip_missing=False,
            ).defaults
            config.merge_with(self._loader._compose_config_from_defaults_list(defaults, self._files), over)
        except (HydraException, OmegaConfBaseException) as error:
            raise ValueError(explain(error)) from None
        OmegaConf.set_struct(config, True)
        require_kinds(config, lambda group: conf_dir() / group / f"{option}.yaml")
        return config

    def _body(self, name: str) -> DictConfig:
        """What one file holds by itself."""
        found = self._files.load_config(name)
        assert found is not None and isinstance(found.config, DictConfig)
        return found.config

    def _value(self, section: str, option: str, scale: str, override: Override) -> Any:
        """What an override's value is to the schema: 1 may be 1.0 or "1"."""
        part = self._part(section, option, scale).config if option else self._base(scale).config
        place = (section if option else "", option, scale, override.input_line or "")
        if place not in self._values:
            node, key = part._get_node(section), override.key_or_group.partition(".")[2]
            field = node._get_node(key, validate_access=False) if isinstance(node, DictConfig) else None
            if field is not None:
                copied: Any = {key: field}  # faster than the section
            else:
                copied = node
            config = OmegaConf.create({section: copied})
            OmegaConf.set_struct(config, True)
            try:
                ConfigLoaderImpl._apply_overrides_to_config([override], config)
            except (HydraException, OmegaConfBaseException) as error:
                raise ValueError(explain(error)) from None
            value = OmegaConf.select(config, override.key_or_group)
            self._values[place] = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        return self._values[place]


def _plain(config: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
