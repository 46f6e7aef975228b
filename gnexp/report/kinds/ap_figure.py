"""AP against iteration: how far a schedule has brought each norm, mean and range of the seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from gnexp.config.experiment import AxisValue
from gnexp.config.fields import require
from gnexp.report.exhibits.axes import axis_values, short_title
from gnexp.report.exhibits.cells import Findings, Measured, Measurements
from gnexp.report.exhibits.differences import describe_regime
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.kinds.epoch_figure import mean_curve
from gnexp.report.kinds.kind import Kind
from gnexp.report.render.plots import Line, Panel, Plot, legends, widen

_LEAST_POINTS = 2  # of a curve; a run that was scored at its end alone has none


def _plot(exhibit: Exhibit, found: Findings) -> Plot | None:
    """A panel for each value of the exhibit's panels at each scale that has a curve; None where none has."""
    metric = exhibit.metrics[0]
    measure = exhibit.score.told[metric]
    panels: list[Panel] = []
    parts: list[Measurements] = []
    for part in (found.paper, found.ours):
        drawn = [
            (value, lines) for value in _values(exhibit, part) if (lines := _lines(exhibit, part, value))
        ]
        if not drawn:
            continue
        parts.append(part)
        heights = [y for _, lines in drawn for line in lines for y in (*line.y, *line.low, *line.high)]
        limits = widen(0.0, max(height for height in heights if height is not None))
        subtitle = f"{part.scale} scale: {describe_regime(part.runs)}"
        panels += [
            Panel(
                exhibit.value_title(str(exhibit.panels), value),
                subtitle,
                f"{measure.title} (%)",
                (*lines,),
                limits,
            )
            for value, lines in drawn
        ]
    if not panels:
        return None
    seeds = " and ".join(f"{part.seeds_text()} at {part.scale} scale" for part in parts)
    missing = [f"{part.missing_text}." for part in parts if part.missing_text]
    caption = " ".join(
        [
            f"Not in the paper. {legends().worker0_band.format(seeds=seeds)}",
            *missing,
            *filter(None, [exhibit.beside]),
        ]
    )
    told = "; ".join(
        f"{panel.title} ({panel.subtitle}): "
        + ", ".join(f"{line.label} ends at {line.y[-1]:.1f}" for line in panel.lines)
        for panel in panels
    )
    return Plot(
        exhibit.id, exhibit.title, "iteration", (), tuple(panels), caption, f"{exhibit.title}. {told}."
    )


def _values(exhibit: Exhibit, found: Measurements) -> list[AxisValue]:
    return axis_values(found.cells, exhibit.axes.index(str(exhibit.panels)))


def _lines(exhibit: Exhibit, found: Measurements, panel: AxisValue) -> list[Line]:
    axis = str(exhibit.lines)
    of_panel = {
        key: cell for key, cell in found.cells.items() if exhibit.at(key, str(exhibit.panels)) == panel
    }
    cells = {exhibit.at(key, axis): cell for key, cell in of_panel.items()}
    require(
        len(cells) == len(of_panel), f"{exhibit.id}: only must leave one cell for each of lines and panels"
    )
    return [
        dataclasses.replace(curve, x=tuple(epoch * _steps(cells[value]) for epoch in curve.x))
        for value, curve in _curves(exhibit.metrics[0], axis, cells)
        if len(curve.x) >= _LEAST_POINTS
    ]


def _curves(metric: str, axis: str, cells: dict[AxisValue, Measured]) -> Iterator[tuple[AxisValue, Line]]:
    for value, cell in cells.items():
        curve = mean_curve(cell, metric, str(value), short_title(axis, value))
        if curve is not None:
            yield value, curve


def _steps(cell: Measured) -> int:
    """Iterations of an epoch."""
    steps = cell.cell.runs[0].recipe.epoch_steps
    assert steps is not None, "a recipe of detection counts in iterations"
    return steps


def _complete(exhibit: Exhibit) -> Exhibit:
    known = [measure.name for measure in exhibit.score.measures]
    require(
        len(exhibit.metrics) == 1 and exhibit.metrics[0] in known,
        f"metrics must be one of {', '.join(known)}, got {', '.join(exhibit.metrics)}",
    )
    return exhibit


AP_FIGURE = Kind(
    needs=frozenset({"lines", "panels", "metrics"}),
    score="ap",
    complete=_complete,
    plot=_plot,
    folder="figures",
    links=(("picture", ".svg"),),
)
