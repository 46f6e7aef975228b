"""Drawing: a Plot as SVG and PNG bytes that depend on nothing but the plot and matplotlib's version."""

from __future__ import annotations

import io
import itertools
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from gnexp.report.exhibits.axes import NORMS
from gnexp.report.render.labels import label_lines
from gnexp.report.render.plots import Line, Panel, Plot

if TYPE_CHECKING:  # matplotlib takes half a second to import, and only drawing needs it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#1b1f24", "#5b6470", "#d9dde2", "#ffffff"
# A hue is one norm's in every figure (its NormName says which). Those who see no red, or no green, tell each from all
# others too, and each has a contrast of at least 3 on white: a test simulates and measures both. The page has each by
# its name, and other ones for a dark screen.
HUES = {
    "orange": "#b84a00",
    "blue": "#0069a8",
    "green": "#00785a",
    "plum": "#6e0a5e",
    "gold": "#bd8200",
    "maroon": "#8c0f3f",
    "brown": "#574100",
    "navy": "#1a0a82",
    "magenta": "#e02de8",
    "rose": "#e63073",
    "leaf": "#379e47",
    "violet": "#4a3cf5",
    "grey": "#8d8d95",
}
# Line -> its colour, and a marker of its own too. A norm of a package that names no hue has ink and a circle.
STYLES: dict[str, tuple[str, str]] = {
    **{norm: (HUES.get(name.hue, INK), name.marker) for norm, name in NORMS.items()},
    # A colour is a norm's. Of lines of one norm each has a marker of its own, in the norm's colour.
    "32": (INK, "o"),
    "16": (INK, "^"),
    "8": (INK, "v"),
    "4": (INK, "D"),
    "2": (INK, "s"),
    "worker0": (INK, "s"),
    "mean": (INK, "^"),
    "precise": (INK, "o"),
    "p99": (INK, "s"),
    "p80": (INK, "D"),
    "p20": (INK, "^"),
    "p1": (INK, "o"),
}
_SETTINGS: dict[str, Any] = {
    "svg.hashsalt": "gnexp",  # else every SVG has ids of its own
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",  # the one font that comes with matplotlib
    "font.size": 9.0,
    "path.simplify": False,
}
_DIGEST_KEY = "gnexp-digest"
_PNG = b"\x89PNG\r\n\x1a\n"
_DODGE = 0.16  # of the step between two places: how far lines stand apart; seeds stand beside their bar by half of it


@dataclass(frozen=True)
class Drawn:
    """A figure's files."""

    wide: str  # SVG
    narrow: str  # SVG, the panels stacked, for a phone; empty where it was not asked for
    png: bytes


class Draw(Protocol):
    """Makes a figure's files; has_narrow: the one for a phone too."""

    def __call__(self, plot: Plot, *, has_narrow: bool) -> Drawn: ...


def draw(plot: Plot, *, has_narrow: bool) -> Drawn:
    """The figure, its digest in each file."""
    svg, png = _save(plot, ("svg", "png"))
    narrow = _save(plot, ("svg",), is_narrow=True)[0].decode() if has_narrow else ""
    return Drawn(svg.decode(), narrow, png)


def draw_nothing(plot: Plot, *, has_narrow: bool) -> Drawn:
    """Files that carry the figure's digest and show nothing: enough to compare figures with."""
    svg = f"<svg><dc:identifier>{plot.digest}</dc:identifier></svg>"
    text = f"{_DIGEST_KEY}\0{plot.digest}".encode("latin-1")
    png = _PNG + struct.pack(">I4s", len(text), b"tEXt") + text
    return Drawn(svg, svg if has_narrow else "", png)


def digest_of(content: bytes) -> str | None:
    """The digest of the plotted numbers that a figure's file carries; None where it carries none."""
    if content.startswith(_PNG):
        position = len(_PNG)
        while position + 8 <= len(content):
            length, kind = struct.unpack(">I4s", content[position : position + 8])
            key, _, text = content[position + 8 : position + 8 + length].partition(b"\0")
            if kind == b"tEXt" and key.decode("latin-1") == _DIGEST_KEY:
                return text.decode("latin-1")
            position += 12 + length
        return None
    found = re.search(rb"<dc:identifier>(sha256:[0-9a-f]{64})</dc:identifier>", content)
    return found.group(1).decode() if found else None


def _save(plot: Plot, kinds: Sequence[str], *, is_narrow: bool = False) -> list[bytes]:
    """The figure as a file of each kind, all of one layout."""
    import matplotlib

    metadata: dict[str, dict[str, Any]] = {
        "svg": {"Date": None, "Creator": "gnexp", "Title": plot.title, "Identifier": plot.digest},
        "png": {"Software": None, _DIGEST_KEY: plot.digest},
    }
    files = [io.BytesIO() for _ in kinds]
    with matplotlib.rc_context(_SETTINGS):  # type: ignore[arg-type]  # its keys are a Literal of hundreds
        figure = lay_out(plot, is_narrow=is_narrow)
        for kind, file in zip(kinds, files, strict=True):
            figure.savefig(file, format=kind, dpi=200, metadata=metadata[kind])
    return [file.getvalue() for file in files]


def lay_out(plot: Plot, *, is_narrow: bool = False) -> Figure:
    """The figure with everything at its place."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = plot.placed_panels
    number = len(panels)
    columns = 1 if is_narrow else min(number, 3 if plot.x_ticks or number % 3 == 0 else 2)
    rows = -(-number // columns)
    # A page stretches a figure to its width: one panel is as wide as two, or its letters would be twice as large.
    stretch = 2.0 if columns == 1 and not is_narrow else 1.0
    size = (3.9, 2.9 * rows) if is_narrow else (3.05 * max(columns, 2) + 0.5, 3.1 * rows)
    figure = Figure(figsize=size, facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    for i, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, i + 1)
        _draw_panel(
            figure,
            axes,
            plot,
            panel,
            stretch,
            has_y_label=i % columns == 0,
            has_x_label=i + columns >= number,
        )
    figure.canvas.draw()  # lays out the panels, by which labels are placed
    for axes, panel in zip(figure.axes, panels, strict=True):
        label_lines(axes, panel, _shifts(plot, panel, stretch), [_style(line)[0] for line in panel.lines])
    figure.canvas.draw()  # makes room for the labels
    figure.set_layout_engine("none")  # so that every file has this layout
    return figure


def _draw_panel(
    figure: Figure,
    axes: Axes,
    plot: Plot,
    panel: Panel,
    stretch: float,
    *,
    has_y_label: bool,
    has_x_label: bool,
) -> None:
    axes.set_title(panel.title, loc="left", fontsize=10, fontweight="bold", color=INK, pad=18)
    axes.annotate(
        panel.subtitle,
        (0, 1),
        (0, 6),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=7.5,
        color=MUTED,
    )
    if panel.is_log:
        _set_log(axes, panel.y_limits)
    axes.set_ylim(*panel.y_limits)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelsize=8, length=3, labelcolor=INK)
    axes.tick_params(axis="y", length=0)
    shifts = _shifts(plot, panel, stretch)
    if plot.x_ticks:
        axes.set_xticks([plot.place(i) for i in range(len(plot.x_ticks))], plot.x_ticks)
        start, end = 0.0, plot.place(len(plot.x_ticks) - 1)
        longest = max((len(line.label) for line in panel.lines if " " in line.label), default=0)
        # For the labels at the lines' ends.
        room = 0.42 + 0.03 * max(0, longest - 9) if longest else 0.2
        before = _DODGE / stretch / 2 - min(shifts) + 0.05  # of the first line's seeds, and half a dot
        left, right = start - max(0.06 * end, before), end * (1 + room / stretch)
    else:
        from matplotlib.ticker import MaxNLocator

        start = min(line.x[0] for line in panel.lines)
        end = max(line.x[-1] for line in panel.lines)
        span = max(end - start, 1.0)
        left, right = start - 0.03 * span, end + 0.2 / stretch * span
        ticks = MaxNLocator(integer=True, nbins=8).tick_values(start, end)
        axes.set_xticks([tick for tick in ticks if start <= tick <= end])
    axes.set_xlim(left, right)
    axes.spines["bottom"].set_bounds(start, end)
    if panel.reference is not None:
        axes.plot([left, end], [panel.reference] * 2, color=MUTED, linewidth=1.0, linestyle=(0, (1, 2)))
    for line, shift in zip(panel.lines, shifts, strict=True):
        if plot.x_ticks:
            _draw_points(axes, line, shift, _DODGE / stretch / 2)
        else:
            _draw_curve(axes, line)
    if has_y_label or panel.y_label != plot.panels[0].y_label:
        axes.set_ylabel(panel.y_label, color=INK)
    if has_x_label:
        axes.set_xlabel(plot.x_label, color=INK, x=((start + end) / 2 - left) / (right - left), ha="center")


def _shifts(plot: Plot, panel: Panel, stretch: float) -> list[float]:
    """How far each line stands aside of its places: bars of two lines at one place would hide each other."""
    dodged = [bool(plot.x_ticks) and any(low is not None for low in line.low) for line in panel.lines]
    ranks = itertools.accumulate(dodged, initial=0)
    return [
        _DODGE / stretch * (rank - (sum(dodged) - 1) / 2) if is_dodged else 0.0
        for rank, is_dodged in zip(ranks, dodged, strict=False)
    ]


def _set_log(axes: Axes, limits: tuple[float, float]) -> None:
    """A logarithmic y axis with ticks at round numbers, written as numbers."""
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    axes.set_yscale("log")
    steps = (factor * 10.0**power for power in range(-2, 4) for factor in (1, 1.5, 2, 3, 4, 5, 7))
    axes.yaxis.set_major_locator(FixedLocator([step for step in steps if limits[0] <= step <= limits[1]]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _style(line: Line) -> tuple[str, str]:
    """Colour and marker of a line."""
    colour, marker = STYLES.get(line.style, (INK, "o"))
    return (STYLES.get(line.hue, (INK, "o"))[0] if line.hue else colour), marker


def _draw_points(axes: Axes, line: Line, shift: float, aside: float) -> None:
    """A line through cells, with bars and their seeds; a stretch across missing cells is dashed."""
    colour, marker = _style(line)
    alpha, width = (0.35, 3.0) if line.is_light else (line.strength, 1.6)
    places = [x + shift for x in line.x]
    for x, values in zip(places, line.seeds, strict=False):
        axes.plot(
            [x - aside] * len(values), values, color=colour, marker="o", linestyle="none", markersize=3.0,
            alpha=0.55, markeredgewidth=0, zorder=3,
        )  # fmt: skip
    for k in range(len(places) - 1):
        dashes = (0, (2.5, 2.5)) if k in line.gaps else "-"
        axes.plot(
            places[k : k + 2], line.y[k : k + 2], color=colour, linewidth=width, linestyle=dashes, alpha=alpha
        )
    for x, low, high in zip(places, line.low, line.high, strict=False):
        if low is not None and high is not None:
            middle, half = (low + high) / 2, (high - low) / 2
            axes.errorbar(x, middle, yerr=half, color=colour, capsize=2.5, elinewidth=1.1)
    if not line.is_light:
        axes.plot(
            places, line.y, color=colour, marker=marker, linestyle="none", markersize=5.5, markeredgecolor=PAPER,
            markeredgewidth=0.8, zorder=4,
        )  # fmt: skip


def _draw_curve(axes: Axes, line: Line) -> None:
    """A line over epochs with the range of its seeds behind it; few markers, so that the line stays a line."""
    colour, marker = _style(line)
    if line.low:
        low = [value if value is not None else y for value, y in zip(line.low, line.y, strict=True)]
        high = [value if value is not None else y for value, y in zip(line.high, line.y, strict=True)]
        axes.fill_between(line.x, low, high, color=colour, alpha=0.16 * line.strength, linewidth=0)
    every = max(1, len(line.x) // 10)
    axes.plot(
        line.x, line.y, color=colour, linewidth=1.5, marker=marker, markersize=4, markeredgecolor=PAPER,
        markeredgewidth=0.6, markevery=((len(line.x) - 1) % every, every), alpha=line.strength,
    )  # fmt: skip
