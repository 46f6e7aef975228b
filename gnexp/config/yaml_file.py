"""A YAML file of plain values: what of conf/ is not composed, and needs no interpolation."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

# C's where PyYAML was built with it, ten times as fast.
_SAFE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """What a file holds.

    Raises:
        ValueError: it cannot be read, or a mapping has a key twice.
    """
    try:
        loader = _SAFE(path.read_text(encoding="utf-8"))
        try:
            node = loader.get_single_node()
            _check_keys(node)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f"cannot read {path}: {' '.join(str(error).split())}") from None


def _check_keys(node: yaml.Node | None) -> None:
    """Refuses a key that stands twice in one mapping, of which YAML's loaders silently take the last."""
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        times = Counter((key.tag, str(key.value)) for key, _ in node.value)
        (_, key), most = times.most_common(1)[0] if times else (("", ""), 0)
        if most > 1:
            raise ValueError(f"the mapping at line {node.start_mark.line + 1} has the key {key} twice")
        children = [child for pair in node.value for child in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    for child in children:
        _check_keys(child)
