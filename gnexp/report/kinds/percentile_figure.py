"""Percentiles of a layer's output against epoch: what Figure 6 plots, one panel per norm."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from gnexp.report.exhibits.axes import norm_title
from gnexp.report.exhibits.cells import Findings, Measured, Measurements
from gnexp.report.exhibits.differences import describe_regime, say_changed
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.exhibits.prose import Prose
from gnexp.report.exhibits.words import join
from gnexp.report.kinds.epoch_figure import mean_curve
from gnexp.report.kinds.kind import Kind, require_spanned
from gnexp.report.render.plots import Line, Panel, Plot, legends, widen

_START = "/start_"
_FAR = 3.0  # a panel that spans more than this many times the narrowest has a y axis of its own
_ORDINALS = {"p1": "1st", "p20": "20th", "p80": "80th", "p99": "99th"}


@dataclass(frozen=True)
class _Sentences:
    start: str
    without_start: Annotated[str, "norms"]
    own_axis: Annotated[str, "norms"]


_PROSE = Prose("percentile_figure", _Sentences)


def _plot(exhibit: Exhibit, found: Findings) -> Plot | None:
    """The percentiles of every norm at every scale that has any; None where none has."""
    drawn: list[Panel] = []
    own: list[str] = []
    for part in (found.paper, found.ours):
        panels, alone = _panels(exhibit, part)
        drawn += panels
        own += [title for title in alone if title not in own]
    if not drawn:
        return None
    parts = [part for part in (found.paper, found.ours) if part.has_any]
    seeds = " and ".join(f"{part.seeds_text()} at {part.scale} scale" for part in parts)
    caption = [
        *filter(None, [exhibit.caption]),
        legends().band.format(seeds=seeds),
        _say_start(drawn),
        *([_PROSE.text.own_axis.format(norms=join(own))] if own else []),
        *(f"{part.missing_text}." for part in parts if part.missing_text),
        "The paper gives no numbers for it.",
        *filter(None, [say_changed(found.ours.runs)] if found.ours.has_any else []),
    ]
    told = "; ".join(
        f"{panel.title} ({panel.subtitle}) ends at "
        + ", ".join(f"{line.y[-1]:.3g} ({line.label})" for line in panel.lines)
        for panel in drawn
    )
    return Plot(
        exhibit.id, exhibit.title, "epoch", (), tuple(drawn), " ".join(caption), f"{exhibit.title}. {told}."
    )


def _panels(exhibit: Exhibit, part: Measurements) -> tuple[list[Panel], list[str]]:
    """Panels of one scale, and the titles of those whose y axis is their own."""
    found: list[tuple[str, str, tuple[Line, ...]]] = []
    for key, cell in part.cells.items():
        (norm,) = (str(value) for value in key)
        cell = _with_start(cell)
        curves = [mean_curve(cell, metric, *_style(metric)) for metric in exhibit.metrics]
        lines = tuple(dataclasses.replace(curve, hue=norm) for curve in curves if curve is not None)
        if lines:
            name = norm_title(norm)
            title = f"{name[0].upper()}{name[1:]}"
            found.append((title, f"{part.scale} scale: {describe_regime(part.runs)}", lines))
    if not found:
        return [], []
    spans = [_span(lines) for _, _, lines in found]
    narrowest = min(high - low for low, high in spans)
    shared = [(low, high) for low, high in spans if high - low <= _FAR * narrowest]
    common = widen(min(low for low, _ in shared), max(high for _, high in shared))
    alone = [title for (title, _, _), span in zip(found, spans, strict=True) if span not in shared]
    panels = [
        Panel(title, subtitle, "output (no unit)", lines, widen(*span) if title in alone else common)
        for (title, subtitle, lines), span in zip(found, spans, strict=True)
    ]
    return panels, alone


def _with_start(cell: Measured) -> Measured:
    """With a record of epoch 0: what the first epoch's says of the time before it (`probe/start_p1`)."""
    results = {}
    for seed, result in cell.results.items():
        first = result.series[0] if result.series else {}
        start = {key.replace(_START, "/", 1): value for key, value in first.items() if _START in key}
        series = [{"epoch": 0, **start}] if start else []
        results[seed] = dataclasses.replace(result, series=[*series, *result.series])
    return dataclasses.replace(cell, results=results)


def _say_start(panels: Sequence[Panel]) -> str:
    """What epoch 0 is, and who has none."""
    without = list(dict.fromkeys(p.title for p in panels if any(line.x[0] != 0 for line in p.lines)))
    told = []
    if any(line.x[0] == 0 for panel in panels for line in panel.lines):
        told.append(_PROSE.text.start)
    if without:
        told.append(_PROSE.text.without_start.format(norms=join(without)))
    return " ".join(told)


def _style(metric: str) -> tuple[str, str]:
    """probe/p99 -> its style and the label at its end."""
    name = metric.partition("/")[2]
    return name, _ORDINALS[name]


def _span(lines: tuple[Line, ...]) -> tuple[float, float]:
    """The lowest and the highest that lines and their bands reach."""
    values = [y for line in lines for y in line.y]
    values += [y for line in lines for ends in (line.low, line.high) for y in ends if y is not None]
    return min(values), max(values)


def _complete(exhibit: Exhibit) -> Exhibit:
    require_spanned(exhibit)
    return exhibit


PERCENTILE_FIGURE = Kind(
    needs=frozenset({"panels", "metrics"}),
    complete=_complete,
    plot=_plot,
    folder="figures",
    links=(("picture", ".svg"),),
)
