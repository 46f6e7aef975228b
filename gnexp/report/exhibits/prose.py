"""The report's prose: what is measured, how it is judged and how to read it, in the words of conf/prose.yaml.

A module that says something has a frozen dataclass of its sentences and a section of that file under the module's own
name. In a text `{name}` stands for what code fills in: a number of the method (`numbers`), which is filled in while the
file is read, or a name that the field is annotated with, which the module fills in by `format`.
"""

from __future__ import annotations

import dataclasses
import functools
import string
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from gnexp.config.fields import require
from gnexp.config.keys import conf_dir
from gnexp.config.yaml_file import read_yaml
from gnexp.report.exhibits.statistics import CONFIDENCE, LEAST_SEEDS

FILE = "prose.yaml"
_T = TypeVar("_T")


class Prose(Generic[_T]):
    """A section of conf/prose.yaml. It is read when a sentence is first asked for."""

    def __init__(self, section: str, schema: type[_T]) -> None:
        self.section, self._schema = section, schema

    @functools.cached_property
    def text(self) -> _T:
        """Its sentences.

        Raises:
            ValueError: see `read`.
        """
        return self.read(conf_dir() / FILE)

    def read(self, path: Path) -> _T:
        """Its sentences from a file.

        Raises:
            ValueError: one line on the first key that is missing, unknown or wrong.
        """
        sections = read_yaml(path)
        try:
            require(
                isinstance(sections, Mapping) and self.section in sections, f"lacks a section {self.section}"
            )
            return typing.cast(_T, _read(self._schema, sections[self.section], self.section))
        except ValueError as error:
            raise ValueError(f"conf/{path.name}: {error}") from None


def numbers() -> dict[str, str]:
    """The numbers of the method that every text may name."""
    return {"confidence": percent(CONFIDENCE), "least_seeds": str(LEAST_SEEDS)}


def percent(share: float) -> str:
    """A share as prose writes it: 95 %."""
    return f"{100 * share:g} %"


def _read(hint: Any, value: Any, place: str) -> Any:
    """A value as its annotation wants it: a text, a dataclass, or several of these by name or in order."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is str or origin is Annotated:
        return _read_text(value, place, arguments[1:])
    if origin is tuple:
        require(isinstance(value, list), f"{place} must be a list, got {value!r}")
        return tuple(_read(arguments[0], one, f"{place}[{n}]") for n, one in enumerate(value))
    require(isinstance(value, Mapping), f"{place} must hold keys and values, got {value!r}")
    if not dataclasses.is_dataclass(hint):
        return {str(key): _read(arguments[1], one, f"{place}.{key}") for key, one in value.items()}
    fields = {f.name: f for f in dataclasses.fields(hint)}
    missing = [name for name, f in fields.items() if name not in value and f.default is dataclasses.MISSING]
    unknown = sorted(str(key) for key in value if key not in fields)
    wrong = (("lacks", missing), ("does not know", unknown))
    told = " and ".join(f"{words} {', '.join(names)}" for words, names in wrong if names)
    require(not told, f"{place} {told}")
    hints = typing.get_type_hints(hint, include_extras=True)
    found = {name: _read(hints[name], one, f"{place}.{name}") for name, one in value.items()}
    return typing.cast(Any, hint)(**found)


def _read_text(value: Any, place: str, names: tuple[str, ...]) -> str:
    require(isinstance(value, str) and bool(value), f"{place} must be a text, got {value!r}")
    filled, known = "", numbers()
    try:
        parts = list(string.Formatter().parse(value))
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    for words, name, spec, conversion in parts:
        require(not {"{", "}"} & set(words), f"{place} has a brace that names nothing")
        filled += words
        if name is not None:
            is_known = name in (*names, *known) and not spec and not conversion
            may = ", ".join((*names, *known))
            require(is_known, f"{place} names {{{name}}}, which nothing fills in; it may name {may}")
            filled += known.get(name, f"{{{name}}}")
    return filled
