"""Checks of arguments that somebody's code hands over; a command line's are checked by its schema."""

from __future__ import annotations

import math
import numbers
import typing
from typing import Any

from gnexp.config.fields import core_of, takes_none

_TYPES = {bool: "True or False", int: "a whole number", float: "a finite number", str: "a text"}

# The messages are made where they are needed alone: torch.compile follows these functions.


def check_flag(key: str, value: Any) -> None:
    """Raises ValueError where that is neither True nor False: "no" would be taken for True."""
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be True or False, got {value!r}")


def check_count(key: str, value: Any) -> None:
    """Raises ValueError where that is no whole number from 1 on."""
    if not (_is_of(int, value) and value >= 1):
        raise ValueError(f"{key} must be a whole number, at least 1, got {value!r}")


def check_eps(key: str, value: Any) -> None:
    """Raises ValueError where that cannot be added to a variance; 0 can, as in torch's norms."""
    if not (_is_number(value) and 0 <= value < math.inf):
        raise ValueError(f"{key} must be a finite number, not negative, such as 1e-5, got {value!r}")


def check_range(key: str, value: Any, low: float, high: float = math.inf) -> None:
    """Raises ValueError where that is no number between these two, which are allowed themselves."""
    if not (_is_number(value) and low <= value <= high):
        said = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        raise ValueError(f"{key} must be a number {said}, got {value!r}")


def check_type(key: str, value: Any, hint: Any) -> None:
    """Raises ValueError where a field of a config, of this type, cannot hold the value."""
    core = core_of(hint)
    if value is None and takes_none(hint):
        return
    if typing.get_origin(core) is tuple:
        each = typing.get_args(core)[0]
        holds = isinstance(value, tuple | list) and all(_is_of(each, one) for one in value)
        must = f"a list, each {_TYPES[each]}"
    else:
        holds, must = _is_of(core, value), _TYPES[core]
    if not holds:
        raise ValueError(f"{key} must be {must}, got {value!r}")


def _is_of(kind: type, value: Any) -> bool:
    if kind is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if kind is float:
        return _is_number(value) and math.isfinite(value)
    return isinstance(value, kind)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
