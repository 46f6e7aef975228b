"""How much error a norm's small batches cost, and whether that cost grows with a property of the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gnexp.config.experiment import AxisValue
from gnexp.report.exhibits.axes import Key, axis_title, norm_title
from gnexp.report.exhibits.cells import Findings, Measured, Measurements
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.exhibits.origins import say_origins
from gnexp.report.exhibits.prose import Prose
from gnexp.report.exhibits.statistics import Estimate, contrast, difference
from gnexp.report.exhibits.tidy import Derived
from gnexp.report.exhibits.words import join, say_effect, say_interval, say_intervals, say_mean, say_points
from gnexp.report.kinds.kind import Kept, Kind, require_spanned
from gnexp.report.render.blocks import Block, Heading, Items, Table, Text
from gnexp.report.render.tables import fill_commands


@dataclass(frozen=True)
class _Sentences:
    gap: Annotated[str, "small", "large"]
    unmeasured: Annotated[str, "norm", "axis"]
    told: Annotated[str, "axis", "first", "last", "norm", "changes"]
    told_with_start: Annotated[str, "axis", "first", "last", "norm", "changes", "start"]
    differs: Annotated[str, "size"]  # no interval
    undecided: Annotated[str, "size"]
    grows: Annotated[str, "size"]
    shrinks: Annotated[str, "size"]


_PROSE = Prose("gap_table", _Sentences)


class Gaps:
    """The gaps of an exhibit at one scale: error at the smallest batch minus error at the largest.

    One per value of exhibit.lines (a norm) and of exhibit.columns (the property of the images).
    """

    def __init__(self, exhibit: Exhibit, found: Measurements) -> None:
        assert exhibit.lines is not None and exhibit.columns is not None  # parse_exhibit requires them
        self._exhibit, self._found = exhibit, found
        self.norms = list(dict.fromkeys(str(exhibit.at(key, exhibit.lines)) for key in found.cells))
        self.xs = sorted({float(exhibit.at(key, exhibit.columns)) for key in found.cells})
        batches = {int(exhibit.at(key, "batch")) for key in found.cells}
        self.small, self.large = min(batches), max(batches)

    @property
    def title(self) -> str:
        """What a gap is: error at 2 minus error at 32."""
        return _PROSE.text.gap.format(small=self.small, large=self.large)

    def cell(self, norm: str, x: float, batch: int) -> Measured | None:
        """The cell of a norm, a property and a batch."""
        return self._found.cells.get(self._key(norm, x, batch))

    def values(self, norm: str, x: float, batch: int) -> list[float]:
        """Errors in percent, one per seed that finished."""
        return self._found.values(self._key(norm, x, batch), self._exhibit.metric)

    def estimate(self, norm: str, x: float) -> Estimate | None:
        """Mean gap with Welch's interval."""
        if self.small == self.large:
            return None
        return difference(self.values(norm, x, self.small), self.values(norm, x, self.large))

    def growth(self, norm: str) -> Estimate | None:
        """The gap at the largest property minus that at the smallest: a contrast of four cells."""
        if len(self.xs) < 2 or self.small == self.large:
            return None
        signs = {(self.xs[-1], self.small): 1, (self.xs[-1], self.large): -1}
        signs |= {(self.xs[0], self.small): -1, (self.xs[0], self.large): 1}
        return contrast([(sign, self.values(norm, x, batch)) for (x, batch), sign in signs.items()])

    def _key(self, norm: str, x: float, batch: int) -> Key:
        at: dict[str, AxisValue] = {
            str(self._exhibit.lines): norm,
            str(self._exhibit.columns): x,
            "batch": batch,
        }
        return tuple(at[axis] for axis in self._exhibit.axes)


def gap_sentences(exhibit: Exhibit, found: Measurements) -> list[str]:
    """Whether each norm's gap grows with the property, no stronger than its interval allows."""
    gaps = Gaps(exhibit, found)
    if len(gaps.xs) < 2:
        return []
    words = axis_title(str(exhibit.columns))
    first, last = gaps.xs[0], gaps.xs[-1]
    told = []
    for norm in gaps.norms:
        growth, start = gaps.growth(norm), gaps.estimate(norm, first)
        name = norm_title(norm)
        if growth is None:
            told.append(_PROSE.text.unmeasured.format(norm=name, axis=words))
            continue
        named = {"axis": words, "first": f"{first:g}", "last": f"{last:g}", "norm": name}
        if start is None:
            told.append(_PROSE.text.told.format(**named, changes=_grows(growth)))
        else:
            with_start = _PROSE.text.told_with_start
            told.append(with_start.format(**named, changes=_grows(growth), start=say_points(start)))
    return told


def _document(exhibit: Exhibit, found: Findings, kept: Kept) -> list[Block]:
    """The numbers behind the figure: gaps with their intervals, the errors they come from, and what may be said."""
    small = found.ours
    blocks: list[Block] = [Heading(f"{small.scale.capitalize()} scale")]
    if not small.has_any:
        return [*blocks, Text("Nothing has been run yet."), *fill_commands(small)]
    gaps = Gaps(exhibit, small)
    corner = axis_title(str(exhibit.columns))
    header = (corner, *(f"{x:g}" for x in gaps.xs))
    growth = () if len(gaps.xs) < 2 else (f"{gaps.xs[-1]:g} minus {gaps.xs[0]:g}",)
    rows = [
        (
            f"gap of {norm_title(norm)}",
            *(say_effect(gaps.estimate(norm, x)) for x in gaps.xs),
            *(say_interval(gaps.growth(norm)) for _ in growth),
        )
        for norm in gaps.norms
    ]
    errors = [
        (
            f"{norm_title(norm)} at {batch}",
            *(say_mean(gaps.cell(norm, x, batch), exhibit.metric) for x in gaps.xs),
        )
        for norm in gaps.norms
        for batch in (gaps.large, gaps.small)
    ]
    regime = f"{model_of(small)}, {small.scale} scale; {small.seeds_text()} per cell; {say_intervals()}."
    return [
        *blocks,
        Text(" ".join(filter(None, (regime, exhibit.columns_note, say_origins(exhibit, small))))),
        Table(f"Gap in points: {gaps.title}", (*header, *growth), tuple(rows)),
        Items(tuple(gap_sentences(exhibit, small))),
        Table("Errors behind it, %", header, tuple(errors)),
        *fill_commands(small),
    ]


def model_of(found: Measurements) -> str:
    """The networks in words; the data is what varies."""
    return join(list(dict.fromkeys(run.model.label for run in found.runs)))


def _derive(exhibit: Exhibit, found: Findings) -> list[Derived]:
    """The gaps and their growth as rows of the CSV."""
    gaps = Gaps(exhibit, found.ours)
    batch = f"{gaps.small} minus {gaps.large}"
    rows = []
    for norm in gaps.norms:
        named: list[tuple[AxisValue, Estimate | None]] = [(x, gaps.estimate(norm, x)) for x in gaps.xs]
        if len(gaps.xs) > 1:
            named.append((f"{gaps.xs[-1]} minus {gaps.xs[0]}", gaps.growth(norm)))
        for x, value in named:
            at = {str(exhibit.lines): norm, str(exhibit.columns): x, "batch": batch}
            rows.append(Derived(found.ours, tuple(at[axis] for axis in exhibit.axes), exhibit.metric, value))
    return rows


def _grows(growth: Estimate) -> str:
    if growth.half_width is None:
        return _PROSE.text.differs.format(size=say_points(growth))
    if not growth.excludes_zero:
        return _PROSE.text.undecided.format(size=say_points(growth))
    words = _PROSE.text.grows if growth.mean > 0 else _PROSE.text.shrinks
    return words.format(size=say_points(growth, is_size=True))


def require_gap_axes(exhibit: Exhibit) -> Exhibit:
    """Checks that the axes are lines, columns and batch, which a gap is taken along; returns the exhibit."""
    require_spanned(exhibit, "batch")
    return exhibit


GAP_TABLE = Kind(
    needs=frozenset({"columns", "lines"}),
    complete=require_gap_axes,
    document=_document,
    derive=_derive,
)
