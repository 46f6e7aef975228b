"""Data whose sha256 is of the settings in its YAML: with others there is none to compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gnexp.config.data import DataConfig
from gnexp.config.kinds import build_kind

SHA256 = "data.sha256"


def other_settings(
    words: Sequence[str], data: Mapping[str, Any], own: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
    """The settings of a data set that are not those of its sha256: key -> value; none where that one holds.

    Args:
        words: the overrides of a run; who names a sha256 in them means it.
        data: what they and the scale make of the data.
        own: gives what the data's file alone makes of it.

    Raises:
        ValueError: fields that do not fit together.
    """
    if not data["sha256"] or any(word.partition("=")[0] == SHA256 for word in words):
        return {}
    found: DataConfig = build_kind("data", dict(data))
    if not found.sha256_of:
        return {}
    listed: DataConfig = build_kind("data", dict(own()))
    if listed.sha256 != found.sha256:
        return {}
    return {
        f"data.{name}": getattr(found, name)
        for name in found.sha256_of
        if getattr(found, name) != getattr(listed, name)
    }
