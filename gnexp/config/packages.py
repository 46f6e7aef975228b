"""The norms that installed packages add by entry point, each checked before anything takes it.

An entry point of the group gnexp.norms names a kind and the dataclass of its fields: `l1 = my_norms:L1Config`. A
package that is wrong is told and left out: it must not stop a run of another norm. Only installed packages name code; a
config chooses among them.
"""

from __future__ import annotations

import dataclasses
import re
import sys
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gnexp.config.fields import core_of, hints_of, require, takes_none

if typing.TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_OVER = (None, "sample", "worker", "all_workers")
_FLAGS = ("has_running_stats", "takes_groups", "needs_resident_workers", "own_activation", "trains_gamma")
_RESERVED = ("all", "inf", "nan", "none", "null", "same")  # which a command line reads as something else
_MARKERS = "os^vD<>pPhHdX*8"  # matplotlib's filled ones
_PLAIN = (bool, int, float, str)  # what a field holds, or a tuple of one of these


class Origin(NamedTuple):
    """The package that a norm comes from."""

    package: str
    version: str

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


@dataclass(frozen=True)
class Offers:
    """What the installed packages add."""

    classes: Mapping[str, Any]  # kind -> the dataclass of its fields
    origins: Mapping[str, Origin]  # kind -> whose it is
    faults: Mapping[str, str]  # name of what cannot be chosen -> why not
    notes: tuple[str, ...]  # everything that is wrong, a line each


def read_offers(points: Iterable[EntryPoint], own: Mapping[str, Any]) -> Offers:
    """Imports and checks what entry points name.

    Args:
        points: of gnexp.system.installed.
        own: gnexp's kinds, whose names, labels and fields no package can change.
    """
    by_name: dict[str, list[EntryPoint]] = {}
    for point in points:
        by_name.setdefault(point.name, []).append(point)
    classes: dict[str, Any] = {}
    faults: dict[str, str] = {}
    origins: dict[str, Origin] = {}
    notes: list[str] = []
    for name, several in by_name.items():
        owners = [_origin(point) for point in several]
        says = f"norm {name!r} of package {owners[0]}"
        had_torch = "torch" in sys.modules
        try:
            if name in own:
                notes.append(f"{says} is not used: gnexp has a norm of this name; rename it in the package")
                continue
            require(
                len(several) == 1,
                f"package {' and package '.join(map(str, owners[1:]))} has a norm of this name too; uninstall one",
            )
            require(
                re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is not None and name.lower() not in _RESERVED,
                "a name must be of letters, digits and '_', begin with no digit and not be "
                f"{', '.join(_RESERVED)}; rename it in the package",
            )
            found = _load(several[0])
            check_class(name, found, {**own, **classes})
        except Exception as error:  # of a stranger's code, which may raise anything
            faults[name] = f"{says} cannot be used: {_line(error)}"
            notes.append(faults[name])
            continue
        if "torch" in sys.modules and not had_torch:
            notes.append(
                f"{says} imports torch where its fields are declared, which costs each command seconds; "
                "import it in the builder's module alone"
            )
        classes[name], origins[name] = found, owners[0]
    return Offers(classes, origins, faults, tuple(notes))


def _origin(point: EntryPoint) -> Origin:
    dist = point.dist
    return Origin("unknown", "") if dist is None else Origin(dist.name, dist.version)


def _load(point: EntryPoint) -> Any:
    try:
        return point.load()
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"{point.value} does not import ({type(error).__name__}: {_line(error)}); mend or uninstall the package"
        ) from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def check_class(name: str, cls: Any, others: Mapping[str, Any]) -> None:
    """Checks all that gnexp reads of a kind's class before it builds anything.

    Args:
        name: of the entry point.
        cls: what it names.
        others: the kinds that are there already.

    Raises:
        ValueError: what is wrong, and what it has to be.
    """
    is_config = isinstance(cls, type) and getattr(cls, "group", None) == "norm"
    require(is_config, f"its entry point must name a subclass of gnexp.config.NormConfig, got {cls!r}")
    # Its own decorator and not its parent's, of which fields() would tell.
    is_frozen = "__dataclass_fields__" in vars(cls) and cls.__dataclass_params__.frozen
    require(is_frozen, f"{cls.__name__} must have @dataclass(frozen=True, kw_only=True)")
    kind = getattr(cls, "kind", None)
    require(kind == name, f"{cls.__name__}.kind must be science_field({name!r}), got {kind!r}")
    _check_traits(name, cls, others)
    _check_fields(cls, others)


def _check_traits(name: str, cls: Any, others: Mapping[str, Any]) -> None:
    def check(trait: str, is_right: Callable[[Any], bool], must: str) -> None:
        value = getattr(cls, trait, None)
        require(is_right(value), f"{cls.__name__}.{trait} must be {must}, got {value!r}")

    for builder in ("builder", "conv_builder"):
        check(
            builder, lambda text: bool(re.fullmatch(r"[\w.]+:\w+", str(text))), "the text 'module:function'"
        )
    check(
        "module",
        lambda text: text is None or bool(re.fullmatch(r"[\w.]+:\w+", str(text))),
        "the text 'module:class' or None",
    )
    check("statistics_over", _OVER.__contains__, "'sample', 'worker', 'all_workers' or None")
    for flag in _FLAGS:
        check(flag, lambda value: isinstance(value, bool), "True or False")
    check(
        "names",
        lambda names: isinstance(names, Mapping) and name in names and all(map(_is_named, names.values())),
        f"label -> NormName, {name!r} among the labels, each with a title, words and one of the markers {_MARKERS}",
    )
    check("freezes", lambda kind: kind is None or kind in others, f"one of {', '.join(others)} or None")
    taken = {label for other in others.values() for label in (*other.names, *other.site_words)}
    check("names", lambda names: not taken & {*names}, "without labels of other norms")
    is_tuple_of_texts = "a tuple of words that no other norm has"
    check(
        "site_words",
        lambda words: isinstance(words, tuple) and not taken & {*words} and not {*_RESERVED} & {*words},
        is_tuple_of_texts,
    )


def _is_named(name: Any) -> bool:
    texts = [getattr(name, part, None) for part in ("title", "words", "marker", "legend", "hue")]
    return all(isinstance(text, str) for text in texts) and all(texts[:3]) and texts[2] in [*_MARKERS]


def _check_fields(cls: Any, others: Mapping[str, Any]) -> None:
    """A command line's schema holds the fields of all kinds, so that a name has one type and one part in all."""
    known: dict[str, tuple[Any, str]] = {}
    for other in others.values():
        for f in dataclasses.fields(other):
            known.setdefault(f.name, (core_of(hints_of(other)[f.name]), f.metadata["part"]))
    for f in dataclasses.fields(cls):
        where = f"{cls.__name__}.{f.name}"
        hint = core_of(hints_of(cls)[f.name])
        require("part" in f.metadata, f"{where} must be a science_field or a hardware_field")
        require(_is_plain(hint), f"{where} must hold bool, int, float, str or a tuple of one, got {hint}")
        part = f.metadata["part"]
        other = known.get(f.name, (hint, part))
        is_nullable = takes_none(hints_of(cls)[f.name])
        require(
            not is_nullable or f.default in (None, dataclasses.MISSING),
            f"{where} may be None, which says that it was not given, so its default must be None, got {f.default!r}",
        )
        require(
            other == (hint, part),
            f"{where} is {part} of type {_called(hint)}, and other norms have a field of this name that is "
            f"{other[1]} of type {_called(other[0])}; rename it",
        )
    if all(f.default is not dataclasses.MISSING for f in dataclasses.fields(cls)):
        cls()  # whose checks refuse defaults that are out of their own bounds


def _is_plain(hint: Any) -> bool:
    args = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return len(args) == 2 and args[0] in _PLAIN and args[1] is Ellipsis
    return hint in _PLAIN


def _called(hint: Any) -> str:
    return getattr(hint, "__name__", "") if hint in _PLAIN else str(hint)
