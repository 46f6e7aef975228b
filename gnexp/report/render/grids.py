"""An exhibit's cells as a table of rows and columns: the paper's, ours, effects and the values behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gnexp.report.exhibits.axes import Key, axis_values, short_title
from gnexp.report.exhibits.cells import Measurements
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.exhibits.measures import Measure
from gnexp.report.exhibits.words import DASH, say_effect, say_mean, signed
from gnexp.report.render.blocks import Table


@dataclass(frozen=True)
class Source:
    """Whose numbers a row holds, and what to write into each of its cells."""

    name: str
    say: Callable[[Key, Measure], str]
    is_paper: bool = False  # so the row is called by the paper's values of the axes


def grid(exhibit: Exhibit, keys: Iterable[Key], title: str, sources: list[Source], scale: str = "") -> Table:
    """A table over all rows and columns that some key lies in; each row once per source.

    scale: as which the keys are named.
    """
    header, lines = _layout(exhibit, list(dict.fromkeys(keys)))
    rows = []
    for line in lines:
        first = line[0][0]
        is_papers_only = all(exhibit.in_paper(key, scale) in exhibit.paper_only for key, _ in line)
        for source in sources:
            if is_papers_only and not source.is_paper:
                continue
            named = exhibit.in_paper(first, scale) if source.is_paper else first
            words = [exhibit.value_title(part, exhibit.at(named, part)) for part in exhibit.rows]
            rows.append((", ".join((*words, source.name)), *(source.say(*place) for place in line)))
    return Table(title, header, tuple(rows))


def _layout(exhibit: Exhibit, keys: list[Key]) -> tuple[tuple[str, ...], list[list[tuple[Key, Measure]]]]:
    """The header and what stands in each row: the values of an axis, or the measures of one cell."""
    measures, axis = exhibit.score.measures, exhibit.columns
    if axis is None:
        corner = ", ".join(map(exhibit.axis_title, exhibit.rows))
        return (corner, *(m.title for m in measures)), [[(key, m) for m in measures] for key in keys]
    columns = axis_values(keys, exhibit.axes.index(axis))
    lines = []
    for row in dict.fromkeys(tuple(exhibit.at(key, part) for part in exhibit.rows) for key in keys):
        values = dict(zip(exhibit.rows, row, strict=True))
        line = [tuple({**values, axis: column}[part] for part in exhibit.axes) for column in columns]
        lines.append([(key, measures[0]) for key in line])
    return (exhibit.axis_title(axis), *(short_title(axis, column) for column in columns)), lines


def effect_grids(exhibit: Exhibit, small: Measurements, control: Measurements | None) -> list[Table]:
    """Values minus the reference's; the paper's beside ours, or apart where it has cells that ours lacks."""
    if not exhibit.reference:
        return []
    noun = exhibit.score.noun
    of = f"{noun} minus {noun} of {exhibit.reference_title}"
    ours = [Source("ours", lambda key, m: _say_effect(exhibit, small, key, m))]
    if control is not None:
        ours.append(Source("control", lambda key, m: _say_effect(exhibit, control, key, m)))
    title = f"Effect in points: {of}"
    if exhibit.is_ours:
        return [grid(exhibit, small.cells, title, ours)]
    if {exhibit.paper_key(key) for key in small.cells} >= set(exhibit.paper) - set(exhibit.paper_only):
        beside = Source(
            "the paper", lambda key, m: _say_paper_effect(exhibit, exhibit.paper_key(key), m), is_paper=True
        )
        quoted = map(exhibit.small_key, exhibit.paper_only)
        return [grid(exhibit, [*quoted, *small.cells], title, [beside, *ours])]
    theirs = Source("the paper", lambda key, m: _say_paper_effect(exhibit, key, m), is_paper=True)
    return [
        grid(exhibit, exhibit.paper, f"The paper's effect in points: {of}", [theirs], "paper"),
        grid(exhibit, small.cells, f"Our {title[0].lower()}{title[1:]}", ours),
    ]


def value_grid(exhibit: Exhibit, small: Measurements, control: Measurements | None) -> Table:
    """The values behind the effects."""
    sources = [Source("ours", lambda key, m: _say_value(exhibit, small, key, m))]
    if control is not None:
        sources.append(Source("control", lambda key, m: _say_value(exhibit, control, key, m)))
    plural = exhibit.score.plural
    name = f"{plural[0].upper()}{plural[1:]}"
    behind = " behind it" if exhibit.reference else ""
    beside = "" if exhibit.is_ours else " (not comparable with the paper's)"
    return grid(exhibit, small.cells, f"{name}{behind}, %{beside}", sources)


def paper_grid(exhibit: Exhibit, found: Measurements) -> Table:
    """Values in the paper's own setting: the paper's, ours, and the difference of the two."""
    sources: list[Source] = []
    if not exhibit.is_ours:
        sources.append(Source("the paper", lambda key, m: _say_paper(exhibit, key, m), is_paper=True))
    if found.has_any:
        sources.append(Source("ours", lambda key, m: _say_value(exhibit, found, key, m)))
    if found.has_any and not exhibit.is_ours:
        sources.append(Source("difference", lambda key, m: _say_difference(exhibit, found, key, m)))
    keys = [*exhibit.paper_only, *found.cells, *exhibit.paper]
    return grid(exhibit, keys, f"{exhibit.score.title}, %", sources, "paper")


def _say_value(exhibit: Exhibit, found: Measurements, key: Key, measure: Measure) -> str:
    return say_mean(found.cells.get(key), exhibit.key_of(measure))


def _say_paper(exhibit: Exhibit, key: Key, measure: Measure) -> str:
    value = exhibit.paper_value(key, measure)
    return DASH if value is None else f"{value:.1f}"


def _say_paper_effect(exhibit: Exhibit, key: Key, measure: Measure) -> str:
    effect = exhibit.paper_difference(key, exhibit.reference_of(key, "paper"), measure)
    return DASH if effect is None else signed(effect)


def _say_effect(exhibit: Exhibit, found: Measurements, key: Key, measure: Measure) -> str:
    cell, reference = found.cells.get(key), exhibit.reference_of(key)
    if key == reference:
        return "0" if cell is not None and cell.estimate(exhibit.key_of(measure)) else DASH
    effect = found.difference(key, reference, exhibit.key_of(measure))
    if cell is not None and cell.num_diverged:
        diverged = f"{cell.num_diverged} of {len(cell.results)} diverged"
        return diverged if effect is None else say_effect(effect).replace(")", f", {diverged})")
    return say_effect(effect)


def _say_difference(exhibit: Exhibit, found: Measurements, key: Key, measure: Measure) -> str:
    cell, theirs = found.cells.get(key), exhibit.paper_value(key, measure)
    ours = cell.estimate(exhibit.key_of(measure)) if cell else None
    if ours is None or theirs is None:
        return DASH
    spread = "" if ours.half_width is None else f" ± {ours.half_width:.1f}"
    return f"{signed(ours.mean - theirs)}{spread}"
