"""What a figure plots: its numbers, before any drawing. Their digest identifies the figure."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from gnexp.report.exhibits.prose import Prose
from gnexp.report.exhibits.statistics import Estimate

# Half a bar may stretch an axis by so many points unless said, or by this share of what points and seeds span if that
# is more; longer bars run out of the panel.
_CLIP, _CLIP_SHARE = 3.0, 0.3


@dataclass(frozen=True)
class Legends:
    """What marks in a figure stand for, a sentence each."""

    bars: str
    bars_of_differences: str
    seeds: str
    seeds_from_reference: str
    seeds_from: Annotated[str, "of", "minus"]
    change: str
    band: Annotated[str, "seeds"]
    worker0_band: Annotated[str, "seeds"]
    gaps_of_cells: str
    gaps_of_ends: str
    cut: str


_PROSE = Prose("plots", Legends)


def legends() -> Legends:
    """The legends of conf/prose.yaml."""
    return _PROSE.text


@dataclass(frozen=True)
class Line:
    """One curve. low and high are the ends of bars or of a band; None where a point has none."""

    style: str  # what colour and marker it takes: bn, gn, 32, 2
    label: str  # written at its end
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    gaps: tuple[int, ...] = ()  # indices of points after which cells are missing
    is_light: bool = False  # the paper's curve behind ours
    hue: str = ""  # the norm whose colour it takes, where its style is none
    strength: float = 1.0  # of its colour, from 0 to 1: lines of one norm in their order
    seeds: tuple[tuple[float, ...], ...] = ()  # of each point its seeds' values, drawn behind it


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    subtitle: str
    y_label: str
    lines: tuple[Line, ...]
    y_limits: tuple[float, float]
    reference: float | None = None  # height of a dotted line
    is_log: bool = False  # its y axis


@dataclass(frozen=True)
class Plot:
    """One figure: panels in a row, all with the same x axis."""

    id: str
    title: str
    x_label: str
    x_ticks: tuple[str, ...]  # names of x = 0, 1, 2, ...; empty for a numeric axis
    panels: tuple[Panel, ...]
    caption: str
    alt: str
    x_places: tuple[float, ...] = ()  # where the ticks stand, of numbers that are not equally far apart

    def place(self, x: float) -> float:
        """Where a point of a line is drawn."""
        return self.x_places[int(x)] if self.x_places else x

    @property
    def placed_panels(self) -> tuple[Panel, ...]:
        """The panels with their lines' points where they are drawn."""
        return tuple(
            dataclasses.replace(
                panel,
                lines=tuple(
                    dataclasses.replace(line, x=tuple(self.place(x) for x in line.x)) for line in panel.lines
                ),
            )
            for panel in self.panels
        )

    @property
    def digest(self) -> str:
        """sha256 of everything plotted, numbers to 6 significant digits (the last bits belong to the C library)."""
        plotted = {"id": self.id, "x": self.x_label, "ticks": self.x_ticks, "panels": self.panels}
        values = _rounded({**plotted, **({"places": self.x_places} if self.x_places else {})})
        return "sha256:" + hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def line_of(
    style: str,
    label: str,
    points: Sequence[tuple[int, Estimate]],
    seeds: Sequence[Sequence[float]] = (),
    hue: str = "",
) -> Line:
    """Estimates at places 0, 1, 2, ... of an axis with their intervals, and a gap where a place is skipped."""
    halves = [value.half_width for _, value in points]
    y = tuple(value.mean for _, value in points)
    return Line(
        style,
        label,
        tuple(float(place) for place, _ in points),
        y,
        tuple(None if half is None else mean - half for mean, half in zip(y, halves, strict=True)),
        tuple(None if half is None else mean + half for mean, half in zip(y, halves, strict=True)),
        tuple(k for k in range(len(points) - 1) if points[k + 1][0] - points[k][0] > 1),
        hue=hue,
        seeds=tuple(tuple(values) if len(values) > 1 else () for values in seeds),  # one is its own mean
    )


def span_of(lines: Iterable[Line], clip: float = _CLIP) -> tuple[float, float]:
    """The lowest and the highest that lines and their bars reach, long bars cut."""
    lines = list(lines)
    points = [y for line in lines for values in (line.y, *line.seeds) for y in values]
    clip = max(clip, _CLIP_SHARE * (max(points) - min(points)))
    lows, highs = list(points), list(points)
    for line in lines:
        for y, low, high in zip(line.y, line.low, line.high, strict=False):
            if low is not None and high is not None:
                lows.append(max(low, y - clip))
                highs.append(min(high, y + clip))
    return min(lows), max(highs)


def cut_bars(lines: Iterable[Line], limits: tuple[float, float]) -> str:
    """A sentence where a bar is longer than its panel shows; empty where none is."""
    ends = [end for line in lines for end in (*line.low, *line.high) if end is not None]
    is_cut = any(end < limits[0] or end > limits[1] for end in ends)
    return legends().cut if is_cut else ""


def widen(low: float, high: float) -> tuple[float, float]:
    """Limits of an axis around what it shows."""
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def _rounded(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _rounded({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
