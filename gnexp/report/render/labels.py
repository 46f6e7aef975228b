"""The names of a panel's lines, at their ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gnexp.report.render.plots import Panel

if TYPE_CHECKING:  # matplotlib takes half a second to import, and only drawing needs it
    from matplotlib.axes import Axes

_LINE_HEIGHT = 11.5  # points, of a label
_LEADER = {"arrowstyle": "-", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3, "relpos": (0, 0.5)}


def label_lines(axes: Axes, panel: Panel, shifts: Sequence[float], colours: Sequence[str]) -> None:
    """Names every line at its end, moved apart where ends lie close.

    Of each line: how far it stands aside of its places (names stand behind the one furthest aside), and its colour.
    """
    from matplotlib.transforms import offset_copy

    def place_of(value: float) -> float:
        return math.log10(value) if panel.is_log else value

    low, high = map(place_of, panel.y_limits)
    height = axes.get_window_extent().height * 72 / axes.figure.dpi  # points
    figure = axes.get_figure(root=True)
    assert figure is not None
    ours = {line.style for line in panel.lines if not line.is_light}
    named = [
        (line, shift, colour)
        for line, shift, colour in zip(panel.lines, shifts, colours, strict=True)
        if not line.is_light or line.style not in ours
    ]
    ends = [min(max(place_of(line.y[-1]), low), high) for line, _, _ in named]
    places = spread(ends, _LINE_HEIGHT * (high - low) / height, low)
    lifts = [(place - end) * height / (high - low) for place, end in zip(places, ends, strict=True)]
    is_moved = any(abs(lift) > _LINE_HEIGHT / 4 for lift in lifts)
    away = 16 if is_moved else 8  # points
    for (line, shift, colour), end, lift in zip(named, ends, lifts, strict=True):
        y = 10.0**end if panel.is_log else end
        axes.annotate(
            line.label,
            (line.x[-1] + shift, y),
            (line.x[-1] + max(shifts), y),
            textcoords=offset_copy(axes.transData, figure, away, lift, units="points"),
            color=colour,
            fontweight="bold",
            fontsize=8.5,
            va="center",
            annotation_clip=False,
            arrowprops=_LEADER | {"color": colour} if is_moved else None,  # says whose end it is
            bbox={"facecolor": figure.get_facecolor(), "linewidth": 0, "pad": 0.6},
        )


def spread(values: list[float], gap: float, floor: float) -> list[float]:
    """Moves values apart until neighbours are `gap` away, each group about its own mean, none below `floor`.

    Order is kept.
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    groups: list[list[int]] = []
    centres: list[float] = []
    for i in order:
        groups.append([i])
        centres.append(values[i])
        while len(groups) > 1 and centres[-1] - centres[-2] < gap * (len(groups[-1]) + len(groups[-2])) / 2:
            merged = groups[-2] + groups[-1]
            groups[-2:] = [merged]
            centres[-2:] = [sum(values[j] for j in merged) / len(merged)]
    placed = [0.0] * len(values)
    for group, centre in zip(groups, centres, strict=True):
        for rank, i in enumerate(group):
            placed[i] = centre + (rank - (len(group) - 1) / 2) * gap
    for rank, i in enumerate(order):
        placed[i] = max(placed[i], floor + (rank + 0.5) * gap)
    return placed
