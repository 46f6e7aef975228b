"""The kinds of norms, models and data: the class of each one's fields, found by name, and how one is built from values.

Each room lists its own kinds as text in a file without torch. Here they are imported by these names alone, so that
config stays below the rooms. A norm may come from an installed package too.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import typing
from collections.abc import Iterable
from typing import Any

from gnexp.config.fields import hints_of, require, takes_none
from gnexp.config.packages import Offers, read_offers
from gnexp.system.installed import norm_entry_points

_ROOMS = {"norm": "gnexp.nn.kinds", "model": "gnexp.models.kinds", "data": "gnexp.data.kinds"}
_OPEN = "norm"  # the group to which packages may add


def import_text(text: str) -> Any:
    """What "package.module:name" names."""
    module, _, name = text.partition(":")
    return getattr(importlib.import_module(module), name)


KIND_GROUPS = tuple(_ROOMS)


@functools.cache
def classes_of(group: str) -> dict[str, Any]:
    """Kind -> the dataclass of its fields: gnexp's own, and of norms those of installed packages behind them.

    Args:
        group: norm, model or data.
    """
    return {**own_classes(group), **(offers().classes if group == _OPEN else {})}


@functools.cache
def own_classes(group: str) -> dict[str, Any]:
    """Kind -> the dataclass of its fields, of gnexp's own kinds alone."""
    listed: dict[str, str] = importlib.import_module(_ROOMS[group]).KINDS
    return {kind: import_text(text) for kind, text in listed.items()}


@functools.cache
def offers() -> Offers:
    """What installed packages add, and what is wrong with them."""
    return read_offers(norm_entry_points(), own_classes(_OPEN))


def package_of(kind: str) -> str:
    """The package that a kind of norm comes from and its version; empty of gnexp's own."""
    return str(offers().origins.get(kind, ""))


def packages_of(norms: Iterable[Any]) -> dict[str, str]:
    """Kind -> package and version, of those norms that come from a package."""
    return {norm.kind: package for norm in norms if (package := package_of(norm.kind))}


def class_of(group: str, kind: Any) -> Any:
    """The dataclass of a kind's fields.

    Raises:
        ValueError: there is no such kind.
    """
    found = classes_of(group)
    if group == _OPEN and kind in offers().faults:
        raise ValueError(offers().faults[kind])
    require(kind in found, f"{group}.kind must be one of {', '.join(found)}, got {kind}")
    return found[kind]


@functools.cache
def fields_of(group: str) -> dict[str, tuple[dataclasses.Field[Any], Any]]:
    """The fields of all kinds of a group, each with its type; a field that is not every kind's may be None as well."""
    found: dict[str, tuple[dataclasses.Field[Any], Any]] = {}
    classes = classes_of(group).values()
    for cls in classes:
        for f in dataclasses.fields(cls):
            is_everywhere = all(f.name in hints_of(other) for other in classes)
            hint = f.metadata.get("spelling", hints_of(cls)[f.name])
            found.setdefault(f.name, (f, hint if is_everywhere else hint | None))
    return found


def choices_of(group: str, name: str) -> tuple[Any, ...]:
    """All values that a field has in any of the kinds that have it; none where any value will do."""
    having = [f for cls in classes_of(group).values() for f in dataclasses.fields(cls) if f.name == name]
    if not all(f.metadata["choices"] for f in having):
        return ()
    return tuple(dict.fromkeys(choice for f in having for choice in f.metadata["choices"]))


def default_of(group: str, name: str) -> Any:
    """What a field is where nothing is said, if that is the same in every kind; else None: each kind has its own."""
    defaults = [
        f.default for cls in classes_of(group).values() for f in dataclasses.fields(cls) if f.name == name
    ]
    is_one = len(defaults) == len(classes_of(group)) and len({repr(default) for default in defaults}) == 1
    return defaults[0] if is_one and defaults[0] is not dataclasses.MISSING else None


def build_kind(group: str, values: dict[str, Any]) -> Any:
    """Builds the config of a kind from plain values; what is None is not given.

    Args:
        group: norm, model or data.
        values: kind among them, and fields of that kind; those of other kinds only as None.

    Raises:
        ValueError: an unknown kind or key, a key of another kind, one that is missing, or a check that fails.
    """
    known = fields_of(group)
    if unknown := next((name for name in values if name not in known), None):
        raise ValueError(f"unknown key {group}.{unknown} in a run's config")
    cls = class_of(group, values.get("kind"))
    hints = hints_of(cls)
    for name, value in values.items():
        if name in hints or value is None:
            continue
        having = [kind for kind, other in classes_of(group).items() if name in hints_of(other)]
        raise ValueError(
            f"{group}.{name} is not for kind {cls.kind}, got {value}; leave it out, it is for kind "
            f"{join(having)}; or choose another {group}="
        )
    given = {
        name: value
        for name, value in values.items()
        if name in hints and (value is not None or takes_none(hints[name]))
    }
    for f in dataclasses.fields(cls):
        is_needed = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if is_needed and f.name not in given:
            raise ValueError(f"{group}.{f.name} is missing: kind {cls.kind} needs it")
    return cls(**{name: _built(hints[name], value) for name, value in given.items()})


def join(words: list[str], conjunction: str = "and") -> str:
    """A, B and C."""
    return f" {conjunction} ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _built(hint: Any, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, dict) and (group := group_of(hint)):
        return build_kind(group, value)
    return value


def group_of(hint: Any) -> str | None:
    """The group whose kinds a field of this type holds, or may hold; None of another field."""
    return next(
        (
            kind.group
            for kind in (hint, *typing.get_args(hint))
            if isinstance(getattr(kind, "group", None), str)
        ),
        None,
    )


def build(cls: type, values: dict[str, Any], path: str = "") -> Any:
    """Builds a config dataclass from plain values: the inverse of to_dict.

    Raises:
        ValueError: an unknown key, or a check that fails.
    """
    hints = hints_of(cls)
    unknown = sorted(set(values) - set(hints))
    require(not unknown, f"unknown key {path}{unknown[0] if unknown else ''} in a run's config")
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        if (
            isinstance(value, dict)
            and group_of(hints[name]) is None
            and dataclasses.is_dataclass(hints[name])
        ):
            arguments[name] = build(typing.cast(type, hints[name]), value, f"{path}{name}.")
        else:
            arguments[name] = _built(hints[name], value)
    return cls(**arguments)
