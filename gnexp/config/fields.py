"""What the schema of conf/ is made of: the two kinds of fields, checks that read as one line, and plain JSON values."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import typing
from dataclasses import field
from typing import Any

_REQUIRED = dataclasses.MISSING
FILE_HASH = "sha256:"  # before the hex digits that name a file by its content


def science_field(default: Any = _REQUIRED, *, spelling: Any = None) -> Any:
    """A field that can change a number.

    Args:
        default: of the field.
        spelling: the type of the word for the value on a command line, where the config holds what it stands for.
    """
    metadata = {"part": "science"} | ({} if spelling is None else {"spelling": spelling})
    return field(default=default, metadata=metadata)


def hardware_field(default: Any = _REQUIRED) -> Any:
    """A field that cannot change a number beyond rounding."""
    return field(default=default, metadata={"part": "hardware"})


def require(holds: bool, message: str) -> None:
    """Raises ValueError with a message unless something holds."""
    if not holds:
        raise ValueError(message)


def require_at_least(config: Any, lowest: int, prefix: str, *names: str) -> None:
    """Checks the numbers among some fields of a config; None is no number."""
    bound = "must not be negative" if lowest == 0 else f"must be at least {lowest}"
    for name in names:
        value = getattr(config, name)
        require(value is None or value >= lowest, f"{prefix}{name} {bound}, got {value}")


def require_finite(config: Any, prefix: str = "") -> None:
    """Checks every number of a config, nested ones too: infinity and NaN have no canonical JSON, hence no run_id."""
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            require_finite(value, f"{prefix}{f.name}.")
            continue
        for number in value if isinstance(value, tuple) else (value,):
            is_finite = not isinstance(number, float) or math.isfinite(number)
            require(is_finite, f"{prefix}{f.name} must be finite, got {value}")


def require_name(key: str, name: str) -> None:
    """A name becomes part of a run directory's name, which must stay one folder."""
    require(
        re.fullmatch(r"\w[\w.-]*", name) is not None,
        f"{key} may hold letters, digits, '.', '_' and '-' and start with a letter, digit or '_', got {name!r}",
    )


def science(config: Any) -> dict[str, Any]:
    """The science fields of a config as plain JSON values; None is dropped, so that a new option keeps old ids."""
    return _part(config, "science")


def _part(config: Any, part: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            found[f.name] = _part(value, part)
        elif f.metadata["part"] == part and value is not None:
            found[f.name] = list(value) if isinstance(value, tuple) else value
    return found


def to_dict(config: Any) -> dict[str, Any]:
    """All fields as plain JSON values: the inverse of from_dict."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return plain


def build(cls: type, values: dict[str, Any], path: str = "") -> Any:
    """Builds a config dataclass from plain values: the inverse of to_dict.

    Raises:
        ValueError: an unknown key, or a cross-field check that fails.
    """
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    require(not unknown, f"unknown key {path}{unknown[0] if unknown else ''} in a run's config")
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        nested = _nested(hints[name]) if isinstance(value, dict) else None
        if nested is not None:
            arguments[name] = build(nested, value, f"{path}{name}.")
        else:
            arguments[name] = tuple(value) if isinstance(value, list) else value
    return cls(**arguments)


def _nested(hint: Any) -> type | None:
    """The config that a field of this type holds, or may hold."""
    found = (kind for kind in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(kind))
    return typing.cast(type | None, next(found, None))
