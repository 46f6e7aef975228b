"""What the schema of conf/ is made of: the two kinds of fields, what they say of themselves, and plain JSON values."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import operator
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

_REQUIRED = dataclasses.MISSING
FILE_HASH = "sha256:"  # before the hex digits that name a file by its content
_TESTS = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}
ANY_TASK = "any"  # in `left_open`: whatever the task is


def science_field(
    default: Any = _REQUIRED,
    *,
    spelling: Any = None,
    title: str = "",
    unit: str = "",
    choices: Sequence[Any] = (),
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    left_open: Mapping[str, str] | None = None,
    told_by: str = "",
) -> Any:
    """A field that can change a number.

    Args:
        default: of the field; without one the field must be given.
        spelling: the type of the word for the value on a command line, where the config holds what it stands for.
        title: in words, for captions and help.
        unit: of the value.
        choices: all values that there are; completion offers them.
        ge: the lowest value, of a list of each of its values.
        gt: all values are above it.
        le: the highest value.
        lt: all values are below it.
        left_open: task -> what to say of it, where the paper does not state the value; any = of every task.
        told_by: the sentence of a caption that tells it, so that it is not listed there: model, data, augmentation,
            schedule or optimizer.
    """
    return field(
        default=default,
        metadata={
            "part": "science",
            "title": title,
            "unit": unit,
            "choices": tuple(choices),
            "bounds": _given(ge=ge, gt=gt, le=le, lt=lt),
            "left_open": dict(left_open or {}),
            "told_by": told_by,
        }
        | ({} if spelling is None else {"spelling": spelling}),
    )


def hardware_field(
    default: Any = _REQUIRED,
    *,
    title: str = "",
    unit: str = "",
    choices: Sequence[Any] = (),
    offered: Sequence[Any] = (),
    ge: float | None = None,
    gt: float | None = None,
) -> Any:
    """A field that cannot change a number beyond rounding.

    Arguments as science_field's; `offered` is what completion offers where other values are allowed too.
    """
    return field(
        default=default,
        metadata={
            "part": "hardware",
            "title": title,
            "unit": unit,
            "choices": tuple(choices),
            "offered": tuple(offered),
            "bounds": _given(ge=ge, gt=gt),
        },
    )


def _given(**bounds: float | None) -> dict[str, float]:
    return {name: bound for name, bound in bounds.items() if bound is not None}


def require(holds: bool, message: str) -> None:
    """Raises ValueError with a message unless something holds."""
    if not holds:
        raise ValueError(message)


def check(config: Any, prefix: str) -> None:
    """Checks each field of a config against its choices and bounds; None is no value.

    Args:
        config: a dataclass of these fields.
        prefix: of its keys, such as "norm.".

    Raises:
        ValueError: with the key, what it may be and what came; or a field without a value that needs one.
    """
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if value is None and not takes_none(_hint(config, f.name)):
            raise ValueError(f"{prefix}{f.name} is missing: {_owner(config)} needs it")
        if value is None or dataclasses.is_dataclass(value):
            continue
        choices = f.metadata["choices"]
        if choices and value not in choices:
            only = f" for {_owner(config)}" if len(choices) == 1 else ""
            raise ValueError(f"{prefix}{f.name} must be {_listed(choices)}{only}, got {plain(value)}")
        check_bounds(f, f"{prefix}{f.name}", value)


def check_bounds(f: dataclasses.Field[Any], key: str, value: Any) -> None:
    """Raises ValueError, with its key, where a number, or one of several, is out of its field's bounds."""
    bounds = f.metadata["bounds"]
    if not bounds:
        return
    numbers = value if isinstance(value, tuple) else (value,)
    if not all(_TESTS[name](number, bound) for number in numbers for name, bound in bounds.items()):
        each = " each" if isinstance(value, tuple) else ""
        raise ValueError(f"{key} {_said(bounds)}{each}, got {value}")


def _said(bounds: Mapping[str, float]) -> str:
    lowest, highest = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if lowest is not None and highest is not None:
        left, right = "[" if "ge" in bounds else "(", "]" if "le" in bounds else ")"
        return f"must be in {left}{lowest:g}, {highest:g}{right}"
    if "ge" in bounds:
        return "must not be negative" if lowest == 0 else f"must be at least {lowest:g}"
    if "gt" in bounds:
        return "must be positive" if lowest == 0 else f"must be above {lowest:g}"
    return f"must be at most {highest:g}" if "le" in bounds else f"must be below {highest:g}"


def _listed(choices: Sequence[Any]) -> str:
    words = [plain(choice) for choice in choices]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def plain(value: Any) -> str:
    """A value as a command line spells it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _owner(config: Any) -> str:
    return f"kind {config.kind}" if hasattr(config, "kind") else "every run"


@functools.cache
def hints_of(cls: type) -> dict[str, Any]:
    """The types of a dataclass's fields."""
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


def _hint(config: Any, name: str) -> Any:
    cls: type = type(config)
    return hints_of(cls)[name]


def takes_none(hint: Any) -> bool:
    """Whether a field of this type may be None."""
    return types.NoneType in typing.get_args(hint)


def core_of(hint: Any) -> Any:
    """A field's type without None."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        kept = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
        return kept[0] if len(kept) == 1 else hint
    return hint


def value_of(config: Any, name: str) -> Any:
    """A field of a config; None where its kind has no such field."""
    return getattr(config, name, None)


def walk(config: Any, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field[Any], Any]]:
    """Each field of a config and of those in it: its key, the field and its value."""
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            yield from walk(value, f"{prefix}{f.name}.")
        else:
            yield f"{prefix}{f.name}", f, value


def require_finite(config: Any, prefix: str = "") -> None:
    """Checks every number of a config, nested ones too: infinity and NaN have no canonical JSON, hence no run_id."""
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            require_finite(value, f"{prefix}{f.name}.")
            continue
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and not math.isfinite(number):
                raise ValueError(f"{prefix}{f.name} must be finite, got {value}")


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
