"""Error against images per worker under each set of running statistics: what is training's and what evaluation's."""

from __future__ import annotations

from gnexp.report.exhibits.axes import axis_title
from gnexp.report.exhibits.cells import Findings, Measurements
from gnexp.report.exhibits.differences import describe_regime, say_changed
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.exhibits.measures import METRICS, stats_legend
from gnexp.report.exhibits.statistics import estimate
from gnexp.report.exhibits.words import signed
from gnexp.report.kinds.eval_stats_table import EvalSets, require_whole_reference, split_sentence
from gnexp.report.kinds.kind import Kind
from gnexp.report.render.plots import Line, Panel, Plot, cut_bars, legends, line_of, span_of, widen


def _plot(exhibit: Exhibit, found: Findings) -> Plot | None:
    """One line of losses per set; None where none has been measured."""
    panels, told = [], []
    columns = EvalSets(exhibit, found.ours).columns
    reference = exhibit.title_of(EvalSets(exhibit, found.ours).reference)
    for part in (found.paper, found.ours):
        title = f"Ours, {part.scale} scale"
        lines = [line for line in _lines(exhibit, part) if line.x]
        if not lines:
            continue
        subtitle = f"{describe_regime(part.runs)}; {part.seeds_text()}"
        low, high = span_of(lines)
        limits = widen(min(low, 0.0), max(high, 0.0))
        panels.append(
            Panel(title, subtitle, f"error minus that of {reference} (points)", tuple(lines), limits, 0.0)
        )
        ends = [
            f"{line.style} {signed(line.y[0])} at {columns[int(line.x[0])]} and {signed(line.y[-1])} at "
            f"{columns[int(line.x[-1])]} images per worker"
            for line in lines
        ]
        told.append(f"{title}: {', '.join(ends)}.")
    if not panels:
        return None
    cut = filter(None, (cut_bars(panel.lines, panel.y_limits) for panel in panels))
    caption = [
        f"Losses against {reference} under the same set. {legends().bars_of_differences}",
        legends().seeds_from_reference,
        next(cut, ""),
        *(split_sentence(exhibit, part) for part in (found.paper, found.ours) if part.has_any),
        say_changed(found.ours.runs) if found.ours.has_any else "",
        stats_legend(),
    ]
    return Plot(
        exhibit.id,
        exhibit.title,
        axis_title(str(exhibit.columns)),
        tuple(str(column) for column in columns),
        tuple(panels),
        " ".join(filter(None, caption)),
        f"{exhibit.title}. Losses in points against {reference}: {' '.join(told)}",
    )


def _lines(exhibit: Exhibit, part: Measurements) -> list[Line]:
    sets = EvalSets(exhibit, part)
    norm = str(exhibit.reference["norm"]) if "norm" in exhibit.axes else ""
    lines = []
    for name, metric in METRICS.items():
        start = estimate(sets.values(sets.start, metric))
        points, seeds = [], []
        for place, column in enumerate(sets.columns):
            loss = sets.loss(column, metric) if column != sets.start else None
            if loss is not None and start is not None:
                points.append((place, loss))
                seeds.append([value - start.mean for value in sets.values(column, metric)])
        label = f"{name} {signed(points[-1][1].mean)}" if points else name
        lines.append(line_of(name, label, points, seeds, norm))
    return lines


EVAL_STATS_FIGURE = Kind(
    needs=frozenset({"columns", "reference"}),
    complete=require_whole_reference,
    plot=_plot,
    folder="figures",
    links=(("picture", ".svg"),),
)
