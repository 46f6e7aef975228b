"""What `--cfg` prints: a composed config in which each kind has its own fields alone."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from omegaconf import Container, DictConfig, OmegaConf

from gnexp.config.kinds import KIND_GROUPS, class_of


def as_text(
    config: DictConfig,
    *,
    package: str | None = None,
    resolve: bool = False,
    remarks: Mapping[str, str] | None = None,
) -> str:
    """A config as YAML.

    Args:
        config: composed by Hydra as a whole, with the fields of all kinds.
        package: the part of it to print, with dots between the levels; None or _global_ for all.
        resolve: whether ${...} is replaced by what it stands for.
        remarks: key -> what stands behind it as a comment.

    Raises:
        ValueError: there is no such kind or part.
    """
    shown = OmegaConf.create({str(key): _own(str(key), config._get_node(key)) for key in config})
    if resolve:
        OmegaConf.resolve(shown)
    if package in (None, "_global_"):
        return _remarked(OmegaConf.to_yaml(shown), remarks or {})
    found = OmegaConf.select(shown, str(package))
    if found is None:
        raise ValueError(f"the config has no part {package}; its parts are {', '.join(map(str, shown))}")
    if not isinstance(found, Container):
        return f"{found}\n"
    own = {
        key.removeprefix(f"{package}."): text
        for key, text in (remarks or {}).items()
        if key.startswith(f"{package}.")
    }
    return f"# @package {package}\n{_remarked(OmegaConf.to_yaml(found), own)}"


def _remarked(text: str, remarks: Mapping[str, str]) -> str:
    """YAML with comments behind the lines of some keys."""
    lines = []
    above: list[tuple[int, str]] = []  # the keys that a line lies in, with their indents
    for line in text.splitlines():
        if found := re.match(r"( *)(\w+):", line):
            indent = len(found[1])
            above = [*(one for one in above if one[0] < indent), (indent, found[2])]
            if remark := remarks.get(".".join(key for _, key in above)):
                line = f"{line}  # {remark}"
        lines.append(line + "\n")
    return "".join(lines)


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
