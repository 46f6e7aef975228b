"""From a file of conf/exhibit to an Exhibit: what each kind must say, checked before anything is read or drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from gnexp.config.experiment import AxisValue
from gnexp.config.fields import require
from gnexp.config.keys import check_key
from gnexp.report.exhibits.axes import Key, parse_value
from gnexp.report.exhibits.exhibit import (
    BY_MEASURE,
    OURS,
    PICTURES,
    VERIFIED,
    Contrast,
    Exhibit,
    InText,
    score_of,
)
from gnexp.report.exhibits.measures import STATS, TRAIN_ERROR, Score

# What each kind must say beside the keys that all of them share.
_KINDS: dict[str, set[str]] = {
    "table": {"columns", "reference"},
    **{kind: set() for kind in BY_MEASURE},
    "batch_figure": {"lines", "reference"},
    "epoch_figure": {"lines", "panels", "metrics"},
    "percentile_figure": {"panels", "metrics"},
    "eval_stats_table": {"columns", "reference"},
    "eval_stats_figure": {"columns", "reference"},
    "gap_table": {"columns", "lines"},
    "gap_figure": {"columns", "lines"},
    PICTURES: {"cells", "num_images"},
}
_KINDS_WITH_VALUES = {"table", *BY_MEASURE, "batch_figure"}  # what they show of the paper is its values
# Kinds whose keys name all of their axes, and the axes that they span without naming them.
_SPANNED: dict[str, set[str]] = {
    "percentile_figure": set(),
    "eval_stats_table": set(),
    "eval_stats_figure": set(),
    "gap_table": {"batch"},
    "gap_figure": {"batch"},
}


def parse_exhibit(values: Mapping[str, Any]) -> Exhibit:
    """Builds an exhibit from plain values.

    Raises:
        ValueError: naming the exhibit and the key that is unknown, missing or wrong.
    """
    name = str(values.get("id", "without an id"))
    try:
        return _parse(values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"exhibit {name}: {error}") from None


def _parse(values: Mapping[str, Any]) -> Exhibit:
    fields = {f.name: f for f in dataclasses.fields(Exhibit)}
    unknown = sorted(set(values) - set(fields))
    require(not unknown, f"unknown key {', '.join(unknown)}; known are {', '.join(sorted(fields))}")
    kind = str(values.get("kind"))
    require(kind in _KINDS, f"kind must be one of {', '.join(_KINDS)}, got {values.get('kind')}")
    is_ours = values.get("source") == OURS
    needed = {n for n, f in fields.items() if f.default is f.default_factory is dataclasses.MISSING}
    needed |= _KINDS[kind] | (set() if is_ours else {"verified"})
    needed |= {"paper"} if kind in _KINDS_WITH_VALUES and not is_ours else set()
    missing = sorted(key for key in needed if not values.get(key))
    require(not missing, f"kind {kind} needs {', '.join(missing)}")
    require(
        not is_ours or not (values.get("paper") or values.get("verified")),
        f"source {OURS} says that the paper has no such exhibit, so neither paper nor verified",
    )
    verified = values.get("verified")
    require(is_ours or verified in VERIFIED, f"verified must be {', '.join(VERIFIED)}, got {verified}")
    stats = values.get("eval_stats", "worker0")
    require(stats in STATS, f"eval_stats must be {', '.join(STATS)}, got {stats}")

    arguments = dict(values)
    arguments["name"] = values.get("name") or _name_of(values["id"])
    for key in ("experiments", "metrics", "axes"):
        if key in values:
            require(isinstance(values[key], list), f"{key} must be a list, got {values[key]!r}")
            arguments[key] = tuple(values[key])
    arguments["rows"] = _listed(values.get("rows"))
    axes: tuple[str, ...] = arguments.get("axes", Exhibit.axes)
    if kind in BY_MEASURE:
        require(
            not (arguments["rows"] or values.get("columns")),
            f"a kind {kind} has a row a cell and a column a measure, so neither rows nor columns",
        )
        arguments["rows"] = axes
    _check_axes(kind, axes, arguments)
    arguments["paper"] = dict(_paper_values(values.get("paper") or {}, axes, score_of(kind)))
    arguments["paper_only"] = tuple(_parse_key(k, axes) for k in values.get("paper_only") or ())
    unquoted = [key for key in arguments["paper_only"] if key not in arguments["paper"]]
    require(not unquoted, f"paper_only names {unquoted[:1]}, of which paper has no value")
    arguments["reference"] = _parse_values(values.get("reference") or {}, axes)
    arguments["only"] = _parse_values(values.get("only") or {}, axes)
    arguments["stands_for"] = {
        axis: {parse_value(axis, ours): parse_value(axis, theirs) for ours, theirs in pairs.items()}
        for axis, pairs in _known(values.get("stands_for") or {}, axes).items()
    }
    for axis, pairs in arguments["stands_for"].items():
        require(
            len({*pairs.values()}) == len(pairs),
            f"stands_for must name one of ours for each of the paper's values of {axis}, got {pairs}",
        )
    arguments["contrasts"] = tuple(_parse_contrast(c, axes) for c in values.get("contrasts") or ())
    told = values.get("in_text") or ()
    require(not (told and is_ours), f"source {OURS} says that the paper has no such exhibit, so no in_text")
    arguments["in_text"] = tuple(_parse_in_text(t, axes, score_of(kind)) for t in told)
    num_images = values.get("num_images", 0)
    require(
        type(num_images) is int and num_images >= 0,
        f"num_images must be a number of images, got {num_images!r}",
    )
    for key in ("eval_stats_cells", "cells"):
        arguments[key] = tuple(_parse_key(k, axes) for k in values.get(key) or ())
    exhibit = Exhibit(**arguments)
    unclear = [key for key in exhibit.paper_only if exhibit.paper_key(exhibit.small_key(key)) != key]
    require(not unclear, f"paper_only names {unclear[:1]}, which is another cell's name at the small scale")
    return exhibit


def _name_of(exhibit: str) -> str:
    """The exhibit's number in the paper: table2 -> Table 2."""
    word = exhibit.rstrip("0123456789")
    return f"{word.replace('_', ' ').capitalize()} {exhibit[len(word) :]}".rstrip()


def _check_axes(kind: str, axes: tuple[str, ...], values: Mapping[str, Any]) -> None:
    for axis in axes:
        check_key(axis)
    for key, allowed in (
        *((key, axes) for key in ("rows", "columns", "lines")),
        ("panels", (*axes, "metric")),
    ):
        for value in _listed(values.get(key)):
            require(value in allowed, f"{key} must be one of {', '.join(sorted(allowed))}, got {value}")
    if kind == "table":
        spanned = [*values["rows"], values["columns"]]
        require(
            sorted(spanned) == sorted(axes),
            f"rows and columns must name each of the axes {', '.join(axes)} once, got {', '.join(spanned)}",
        )
    if kind == "batch_figure":
        require(axes == Exhibit.axes, f"a batch_figure has the axes norm and batch, got {', '.join(axes)}")
    if kind in _SPANNED:
        keys = [values.get(key) for key in ("columns", "lines", "panels")]
        named = {*filter(None, keys), *(values.get("reference") or {}), *_SPANNED[kind]}
        require(
            named == set(axes),
            f"axes of this {kind} must be {', '.join(sorted(named))}, which its keys span, got {', '.join(axes)}",
        )
    if kind.startswith("eval_stats"):
        missing = sorted(set(axes) - set(values["reference"]))
        require(not missing, f"reference of a {kind} must name every axis, it lacks {', '.join(missing)}")


def _listed(value: Any) -> tuple[str, ...]:
    """One name or a list of names."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _paper_values(
    values: Any, axes: tuple[str, ...], score: Score, before: Key = ()
) -> Iterator[tuple[Key, tuple[float | None, ...]]]:
    """The cells of a nest of mappings, one level per axis: a number, or one per measure."""
    axis, rest = axes[len(before)], axes[len(before) + 1 :]
    require(isinstance(values, Mapping), f"paper must map values of {axis} at its level, got {values!r}")
    for name, value in values.items():
        key = (*before, parse_value(axis, name))
        if rest:
            yield from _paper_values(value, axes, score, key)
        elif len(score.measures) == 1:
            yield key, (float(value),)
        else:
            names = ", ".join(measure.title for measure in score.measures)
            require(
                isinstance(value, list) and len(value) == len(score.measures),
                f"paper must list {names} of a cell (null where the paper has none), got {value!r}",
            )
            yield key, tuple(None if number is None else float(number) for number in value)


def _parse_contrast(values: Mapping[str, Any], axes: tuple[str, ...]) -> Contrast:
    unknown = sorted(set(values) - {"of", "minus", "at_least", "at_most"})
    require(not unknown, f"unknown key {', '.join(unknown)} in a contrast")
    return Contrast(
        of=_parse_key(values["of"], axes),
        minus=_parse_key(values["minus"], axes),
        at_least=values.get("at_least"),
        at_most=values.get("at_most"),
    )


def _parse_in_text(values: Mapping[str, Any], axes: tuple[str, ...], score: Score) -> InText:
    needed, other = {"of", "minus", "says", "source"}, {"difference", "metric"}
    require(
        needed <= set(values) <= needed | other,
        f"in_text needs {', '.join(sorted(needed))}, may have {' and '.join(sorted(other))}, got {sorted(values)}",
    )
    known = {measure.name: measure for measure in (*score.measures, TRAIN_ERROR)}
    metric = values.get("metric", score.measures[0].name)
    require(metric in known, f"in_text: metric must be one of {', '.join(known)}, got {metric}")
    difference = values.get("difference")
    return InText(
        of=_parse_key(values["of"], axes),
        minus=_parse_key(values["minus"], axes),
        says=str(values["says"]),
        measure=known[metric],
        source=str(values["source"]),
        difference=None if difference is None else float(difference),
    )


def _parse_key(values: Mapping[str, Any], axes: tuple[str, ...]) -> Key:
    require(set(values) == set(axes), f"a cell is named by {' and '.join(axes)}, got {dict(values)}")
    return tuple(_parse_values(values, axes).values())


def _parse_values(values: Mapping[str, Any], axes: tuple[str, ...]) -> dict[str, AxisValue]:
    """Values by axis, in the order of the axes."""
    known = _known(values, axes)
    return {axis: parse_value(axis, known[axis]) for axis in axes if axis in known}


def _known(values: Mapping[str, Any], axes: tuple[str, ...]) -> Mapping[str, Any]:
    unknown = [str(axis) for axis in values if axis not in axes]
    require(not unknown, f"{', '.join(unknown)} is none of the axes {', '.join(axes)}")
    return values
