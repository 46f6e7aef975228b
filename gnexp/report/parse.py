"""From a file of conf/exhibit to an Exhibit: what each kind must say, checked before anything is read or drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from gnexp.config.experiment import AxisValue
from gnexp.config.fields import require
from gnexp.config.keys import check_key
from gnexp.report.exhibits.axes import Key, parse_value
from gnexp.report.exhibits.exhibit import OUR_SCALES, OURS, VERIFIED, Contrast, Exhibit, InText
from gnexp.report.exhibits.measures import STATS, Score, score_named
from gnexp.report.kinds import KINDS
from gnexp.report.kinds.kind import Kind

_TEXTS = {
    "beside",
    "caption",
    "columns_note",
    "paper_regime",
    "regime",
    "target_aside",
    "target_note",
    "trust",
}
# Keys whose values are cells, or values along the axes.
_OF_CELLS = {"paper", "paper_only", "reference", "only", "stands_for", "contrasts", "in_text"} | {
    *("eval_stats_cells", "cells"),
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
    kind = _check_keys(values)
    outline = kind.complete(_outline(values, kind))
    axes, score = outline.axes, outline.score
    paper = dict(_paper_values(values.get("paper") or {}, axes, score))
    paper_only = _parse_keys(values, "paper_only", axes)
    unquoted = [key for key in paper_only if key not in paper]
    require(not unquoted, f"paper_only names {unquoted[:1]}, of which paper has no value")
    told = values.get("in_text") or ()
    require(
        not (told and outline.is_ours),
        f"source {OURS} says that the paper has no such exhibit, so no in_text",
    )
    exhibit = dataclasses.replace(
        outline,
        paper=paper,
        paper_only=paper_only,
        only=_parse_values(values.get("only") or {}, axes),
        stands_for=_parse_pairs(values.get("stands_for") or {}, axes),
        contrasts=tuple(_parse_contrast(c, axes) for c in values.get("contrasts") or ()),
        in_text=tuple(_parse_in_text(t, axes, score) for t in told),
        eval_stats_cells=_parse_keys(values, "eval_stats_cells", axes),
        cells=_parse_keys(values, "cells", axes),
    )
    is_targeted = any(contrast.target for contrast in exhibit.contrasts)
    require(
        not is_targeted or bool(exhibit.target_aside and exhibit.target_note),
        "contrasts with at_least or at_most need target_aside and target_note, which say what the targets were",
    )
    unclear = [key for key in paper_only if exhibit.paper_key(exhibit.small_key(key)) != key]
    require(not unclear, f"paper_only names {unclear[:1]}, which is another cell's name at our scale")
    return exhibit


def _check_keys(values: Mapping[str, Any]) -> Kind:
    """Which keys are there, and those whose values are one word or number; returns the kind."""
    fields = {f.name: f for f in dataclasses.fields(Exhibit) if f.name != "score"}
    unknown = sorted(set(values) - set(fields))
    require(not unknown, f"unknown key {', '.join(unknown)}; known are {', '.join(sorted(fields))}")
    name = str(values.get("kind"))
    require(name in KINDS, f"kind must be one of {', '.join(KINDS)}, got {values.get('kind')}")
    kind = KINDS[name]
    is_ours = values.get("source") == OURS
    needed = {n for n, f in fields.items() if f.default is f.default_factory is dataclasses.MISSING}
    needed |= kind.needs | (set() if is_ours else {"verified"})
    needed |= {"paper"} if kind.has_values and not is_ours else set()
    missing = sorted(key for key in needed if not values.get(key))
    require(not missing, f"kind {name} needs {', '.join(missing)}")
    require(
        not is_ours or not (values.get("paper") or values.get("verified")),
        f"source {OURS} says that the paper has no such exhibit, so neither paper nor verified",
    )
    verified = values.get("verified")
    require(is_ours or verified in VERIFIED, f"verified must be {', '.join(VERIFIED)}, got {verified}")
    stats = values.get("eval_stats", "worker0")
    require(stats in STATS, f"eval_stats must be {', '.join(STATS)}, got {stats}")
    for key in _TEXTS & set(values):
        require(isinstance(values[key], str), f"{key} must be a text, got {values[key]!r}")
    num_images = values.get("num_images", 0)
    require(
        type(num_images) is int and num_images >= 0,
        f"num_images must be a number of images, got {num_images!r}",
    )
    return kind


def _outline(values: Mapping[str, Any], kind: Kind) -> Exhibit:
    """The exhibit without what its axes give names to, but for its reference."""
    arguments = {key: value for key, value in values.items() if key not in _OF_CELLS}
    scale = values.get("scale", Exhibit.scale)
    require(scale in OUR_SCALES, f"scale must be {' or '.join(OUR_SCALES)}, got {scale}")
    exhibit = values["id"].removesuffix(f"_{scale}")  # the same question's at another scale
    name = values.get("name") or _name_of(exhibit)
    arguments["name"] = name if exhibit == values["id"] else f"{name} at {scale} scale"
    for key in ("experiments", "metrics", "axes"):
        if key in values:
            require(isinstance(values[key], list), f"{key} must be a list, got {values[key]!r}")
            arguments[key] = tuple(values[key])
    arguments["rows"] = _listed(values.get("rows"))
    axes: tuple[str, ...] = arguments.get("axes", Exhibit.axes)
    _check_axes(axes, arguments)
    reference = _parse_values(values.get("reference") or {}, axes)
    return Exhibit(**arguments, reference=reference, score=score_named(kind.score))


def _name_of(exhibit: str) -> str:
    """The exhibit's number in the paper: table2 -> Table 2."""
    word = exhibit.rstrip("0123456789")
    return f"{word.replace('_', ' ').capitalize()} {exhibit[len(word) :]}".rstrip()


def _check_axes(axes: tuple[str, ...], values: Mapping[str, Any]) -> None:
    for axis in axes:
        check_key(axis)
    for key, allowed in (
        *((key, axes) for key in ("rows", "columns", "lines")),
        ("panels", (*axes, "metric")),
    ):
        for value in _listed(values.get(key)):
            require(value in allowed, f"{key} must be one of {', '.join(sorted(allowed))}, got {value}")


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


def _parse_pairs(values: Mapping[str, Any], axes: tuple[str, ...]) -> dict[str, dict[AxisValue, AxisValue]]:
    """Of each axis: our values and the paper's that they stand for."""
    stands_for = {
        axis: {parse_value(axis, ours): parse_value(axis, theirs) for ours, theirs in pairs.items()}
        for axis, pairs in _known(values, axes).items()
    }
    for axis, pairs in stands_for.items():
        require(
            len({*pairs.values()}) == len(pairs),
            f"stands_for must name one of ours for each of the paper's values of {axis}, got {pairs}",
        )
    return stands_for


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
    known = score.told
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


def _parse_keys(values: Mapping[str, Any], name: str, axes: tuple[str, ...]) -> tuple[Key, ...]:
    """The cells that an entry lists."""
    return tuple(_parse_key(key, axes) for key in values.get(name) or ())


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
