"""Error against epoch: what Figures 4 and 5 plot, mean and range of the seeds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from gnexp.config.experiment import AxisValue
from gnexp.report.exhibits.axes import axis_values, short_title
from gnexp.report.exhibits.cells import Findings, Measured, Measurements
from gnexp.report.exhibits.differences import describe_regime, say_changed
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.kinds.kind import Kind
from gnexp.report.render.plots import Line, Panel, Plot, legends, widen

_MARGIN = 1.05  # factor of a logarithmic axis around what it shows
_FAINTEST = 0.35  # strength of the first of several lines of one norm


def _plot(exhibit: Exhibit, found: Findings) -> Plot | None:
    """The curves of every scale that has any; None where none has."""
    drawn: list[tuple[str, str, str, list[Line]]] = []
    for part in (found.paper, found.ours):
        for panel, (title, y_label) in _epoch_panels(exhibit, part).items():
            lines = _epoch_lines(exhibit, part, panel)
            if lines:
                drawn.append((title, f"{part.scale} scale: {describe_regime(part.runs)}", y_label, lines))
    if not drawn:
        return None
    # Panels of one scale share their y axis, as in the paper; panels of two scales cannot.
    limits = {scale: _epoch_limits([ls for _, s, _, ls in drawn if s == scale]) for _, scale, _, _ in drawn}
    panels = [
        Panel(title, scale, y_label, tuple(lines), limits[scale], is_log=_is_log(limits[scale]))
        for title, scale, y_label, lines in drawn
    ]
    parts = [part for part in (found.paper, found.ours) if part.has_any]
    seeds = " and ".join(f"{part.seeds_text()} at {part.scale} scale" for part in parts)
    axis = "The error axis is logarithmic." if any(panel.is_log for panel in panels) else ""
    missing = [part.missing_text for part in parts if part.missing_text]
    caption = " ".join(
        [
            f"{legends().band.format(seeds=seeds)} {axis}",
            *([f"{'; '.join(missing)}."] if missing else []),
            "The paper gives no numbers for its curves.",
            *filter(None, [exhibit.beside, say_changed(found.ours.runs) if found.ours.has_any else ""]),
        ]
    )
    told = "; ".join(
        f"{title} ({subtitle}): " + ", ".join(f"{line.label} ends at {line.y[-1]:.1f}" for line in lines)
        for title, subtitle, _, lines in drawn
    )
    return Plot(exhibit.id, exhibit.title, "epoch", (), tuple(panels), caption, f"{exhibit.title}. {told}.")


def _epoch_panels(exhibit: Exhibit, found: Measurements) -> dict[AxisValue, tuple[str, str]]:
    """Panel key -> title and y label."""
    if exhibit.panels == "metric":
        words = {
            metric: "training" if metric.startswith("train/") else "validation" for metric in exhibit.metrics
        }
        return {m: (f"{word.capitalize()} error", f"{word} error (%)") for m, word in words.items()}
    lines, panels = str(exhibit.lines), str(exhibit.panels)
    return {
        value: (
            f"{exhibit.value_title(panels, value)}, by {exhibit.axis_title(lines)}",
            "validation error (%)",
        )
        for value in axis_values(found.cells, exhibit.axes.index(panels))
    }


def _epoch_lines(exhibit: Exhibit, found: Measurements, panel: AxisValue) -> list[Line]:
    is_by_metric = exhibit.panels == "metric"
    metric = str(panel) if is_by_metric else exhibit.metrics[0]
    axis = str(exhibit.lines)
    lines = []
    for value in axis_values(found.cells, exhibit.axes.index(axis)):
        cells = [
            cell
            for key, cell in found.cells.items()
            if exhibit.at(key, axis) == value
            and (is_by_metric or exhibit.at(key, str(exhibit.panels)) == panel)
        ]
        curve = mean_curve(cells[0], metric, str(value), short_title(axis, value)) if cells else None
        if curve is not None:
            lines.append(curve)
    if exhibit.panels == "norm":  # of one norm, in its colour: the later in the grid, the stronger
        lines = [
            dataclasses.replace(line, hue=str(panel), strength=_shade(place, len(lines)))
            for place, line in enumerate(lines)
        ]
    return lines


def _shade(place: int, number: int) -> float:
    """How strong a line's colour is: the last one is whole."""
    return 1.0 if number < 2 else _FAINTEST + (1 - _FAINTEST) * place / (number - 1)


def mean_curve(cell: Measured, metric: str, style: str, label: str) -> Line | None:
    """Mean over the seeds that finished, at the epochs that all of them report."""
    curves = [
        {
            record["epoch"]: record[metric]
            for record in result.series
            if "epoch" in record and _is_number(record.get(metric))
        }
        for result in cell.finished.values()
    ]
    epochs = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    if not epochs:
        return None
    at = [[curve[epoch] for curve in curves] for epoch in epochs]
    many = len(curves) > 1
    return Line(
        style,
        label,
        tuple(float(epoch) for epoch in epochs),
        tuple(math.fsum(values) / len(values) for values in at),
        tuple(min(values) for values in at) if many else (),
        tuple(max(values) for values in at) if many else (),
    )


def _epoch_limits(panels: Iterable[list[Line]]) -> tuple[float, float]:
    """From the lowest that lines and their bands reach to the highest, first epochs included."""
    values = [
        y for lines in panels for line in lines for y in (*line.y, *line.low, *line.high) if y is not None
    ]
    low, high = min(values), max(values)
    return (low / _MARGIN, high * _MARGIN) if low > 0 else widen(low, high)


def _is_log(limits: tuple[float, float]) -> bool:
    """A logarithmic axis shows the first epochs without flattening the last ones; it has no 0."""
    return limits[0] > 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


EPOCH_FIGURE = Kind(
    needs=frozenset({"lines", "panels", "metrics"}),
    plot=_plot,
    folder="figures",
    links=(("picture", ".svg"),),
)
