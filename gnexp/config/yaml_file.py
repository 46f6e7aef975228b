"""Files of conf/ that are not composed: plain values in YAML, without interpolation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

# C's where PyYAML was built with it: several times as fast.
_SAFE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """What a file holds, by the rules of YAML 1.1: 1.0e-3 is a number, 1e-3 a text, 2026-11-27 a date.

    Raises:
        ValueError: it cannot be read, or a mapping has a key twice.
    """
    try:
        loader = _SAFE(path.read_text(encoding="utf-8"))
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check_keys(node, set())
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f"cannot read {path}: {' '.join(str(error).split())}") from None


def _check_keys(node: yaml.Node, checked: set[int]) -> None:
    """Refuses a key that stands twice in one mapping, of which YAML's loaders silently take the last.

    Args:
        node: what is checked, with all in it.
        checked: ids of nodes; an alias leads to one again.
    """
    if id(node) in checked:
        return
    checked.add(id(node))
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        keys = set()
        for key, value in node.value:
            name = (key.tag, str(key.value))
            if name in keys:
                raise ValueError(f"line {key.start_mark.line + 1}: the key {key.value} stands twice")
            keys.add(name)
            children += [key, value]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    for child in children:
        _check_keys(child, checked)
