"""An exhibit's cells as a table of rows and columns: the paper's, ours, effects and errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gnexp.experiments.report.axes import Key, axis_title, axis_values, short_title, value_title
from gnexp.experiments.report.blocks import Table
from gnexp.experiments.report.cells import Measurements
from gnexp.experiments.report.exhibit import Exhibit
from gnexp.experiments.report.words import DASH, say_effect, say_error, signed


@dataclass(frozen=True)
class Source:
    """Whose numbers a row holds, and what to write into each of its cells."""

    name: str
    say: Callable[[Key], str]
    is_paper: bool = False  # so the row is called by the paper's values of the axes


def grid(exhibit: Exhibit, keys: Iterable[Key], title: str, sources: list[Source]) -> Table:
    """A table over all rows and columns that some key lies in; each row once per source."""
    assert exhibit.columns is not None  # parse_exhibit requires it of a table
    found, axis = list(keys), exhibit.columns
    columns = axis_values(found, exhibit.axes.index(axis))
    rows = []
    for row in dict.fromkeys(tuple(exhibit.at(key, part) for part in exhibit.rows) for key in found):
        values = dict(zip(exhibit.rows, row, strict=True))
        line = [tuple({**values, axis: column}[part] for part in exhibit.axes) for column in columns]
        for source in sources:
            first = exhibit.paper_key(line[0]) if source.is_paper else line[0]
            words = [value_title(part, exhibit.at(first, part)) for part in exhibit.rows]
            rows.append((", ".join((*words, source.name)), *map(source.say, line)))
    header = (axis_title(axis), *(short_title(axis, column) for column in columns))
    return Table(title, header, tuple(rows))


def effect_grids(exhibit: Exhibit, small: Measurements, control: Measurements | None) -> list[Table]:
    """Errors minus the reference's; the paper's beside ours, or apart where it has cells that ours lacks."""
    of = f"error minus error of {exhibit.reference_title}"
    ours = [Source("ours", lambda key: _say_effect(exhibit, small, key))]
    if control is not None:
        ours.append(Source("control", lambda key: _say_effect(exhibit, control, key)))
    title = f"Effect in points: {of}, paired by seed"
    if exhibit.is_ours:
        return [grid(exhibit, small.cells, title, ours)]
    theirs = Source("the paper", lambda key: _say_paper_effect(exhibit, key), is_paper=True)
    if {exhibit.paper_key(key) for key in small.cells} >= set(exhibit.paper):
        return [grid(exhibit, small.cells, title, [theirs, *ours])]
    return [
        grid(exhibit, exhibit.paper, f"The paper's effect in points: {of}", [theirs]),
        grid(exhibit, small.cells, f"Our {title[0].lower()}{title[1:]}", ours),
    ]


def error_grid(exhibit: Exhibit, small: Measurements, control: Measurements | None) -> Table:
    """The errors behind the effects."""
    sources = [Source("ours", lambda key: say_error(small.cells.get(key), exhibit.metric))]
    if control is not None:
        sources.append(Source("control", lambda key: say_error(control.cells.get(key), exhibit.metric)))
    beside = "" if exhibit.is_ours else " (not comparable with the paper's)"
    return grid(exhibit, small.cells, f"Errors behind it, %{beside}", sources)


def paper_grid(exhibit: Exhibit, found: Measurements) -> Table:
    """Errors in the paper's own setting: the paper's, ours, and the difference of the two."""
    sources: list[Source] = []
    if not exhibit.is_ours:
        sources.append(Source("the paper", lambda key: _say_paper(exhibit, key), is_paper=True))
    if found.has_any:
        sources.append(Source("ours", lambda key: say_error(found.cells.get(key), exhibit.metric)))
    if found.has_any and not exhibit.is_ours:
        sources.append(Source("difference", lambda key: _say_difference(exhibit, found, key)))
    return grid(exhibit, [*found.cells, *exhibit.paper], "Top-1 validation error, %", sources)


def _say_paper(exhibit: Exhibit, key: Key) -> str:
    return f"{exhibit.paper[key]:.1f}" if key in exhibit.paper else DASH


def _say_paper_effect(exhibit: Exhibit, key: Key) -> str:
    effect = exhibit.paper_difference(key, exhibit.reference_of(key))
    return DASH if effect is None else signed(effect)


def _say_effect(exhibit: Exhibit, found: Measurements, key: Key) -> str:
    cell, reference = found.cells.get(key), exhibit.reference_of(key)
    if key == reference:
        return "0" if cell is not None and cell.estimate(exhibit.metric) else DASH
    effect = found.difference(key, reference, exhibit.metric)
    if cell is not None and cell.num_diverged:
        diverged = f"{cell.num_diverged} of {len(cell.results)} diverged"
        return diverged if effect is None else say_effect(effect).replace(")", f", {diverged})")
    return say_effect(effect)


def _say_difference(exhibit: Exhibit, found: Measurements, key: Key) -> str:
    cell = found.cells.get(key)
    ours = cell.estimate(exhibit.metric) if cell else None
    if ours is None or key not in exhibit.paper:
        return DASH
    spread = "" if ours.half_width is None else f" ± {ours.half_width:.1f}"
    return f"{signed(ours.mean - exhibit.paper[key])}{spread}"
