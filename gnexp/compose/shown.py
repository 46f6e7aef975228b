"""What `--cfg` prints: a composed config in which each kind has its own fields alone."""

from __future__ import annotations

import dataclasses
from typing import Any

from omegaconf import Container, DictConfig, OmegaConf

from gnexp.config.kinds import KIND_GROUPS, class_of


def as_text(config: DictConfig, *, package: str | None = None, resolve: bool = False) -> str:
    """A config as YAML.

    Args:
        config: composed by Hydra as a whole, with the fields of all kinds.
        package: the part of it to print, with dots between the levels; None or _global_ for all.
        resolve: whether ${...} is replaced by what it stands for.

    Raises:
        ValueError: there is no such kind or part.
    """
    shown = OmegaConf.create({str(key): _own(str(key), config._get_node(key)) for key in config})
    if resolve:
        OmegaConf.resolve(shown)
    if package in (None, "_global_"):
        return OmegaConf.to_yaml(shown)
    found = OmegaConf.select(shown, str(package))
    if found is None:
        raise ValueError(f"the config has no part {package}; its parts are {', '.join(map(str, shown))}")
    return (
        f"# @package {package}\n{OmegaConf.to_yaml(found)}" if isinstance(found, Container) else f"{found}\n"
    )


def _own(group: str, node: Any) -> Any:
    """A section of kinds as its kind's fields, in their order, with the kind's defaults where nothing was given."""
    if group not in KIND_GROUPS:
        return node
    own = {}
    for f in dataclasses.fields(class_of(group, node.kind)):
        value = node._get_node(f.name)
        is_default = value._is_none() and f.default is not dataclasses.MISSING
        own[f.name] = f.default if is_default else value
    return own
