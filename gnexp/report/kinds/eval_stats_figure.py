"""Error against images per worker under each set of running statistics: what is training's and what evaluation's."""

from __future__ import annotations

from gnexp.report.exhibits.axes import axis_title
from gnexp.report.exhibits.cells import Findings, Measurements
from gnexp.report.exhibits.differences import describe_regime, say_exposure
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.exhibits.measures import METRICS, STATS_LEGEND
from gnexp.report.exhibits.statistics import estimate
from gnexp.report.exhibits.words import BARS, signed
from gnexp.report.kinds.eval_stats_table import EvalSets, require_whole_reference, split_sentence
from gnexp.report.kinds.kind import Kind
from gnexp.report.render.plots import Line, Panel, Plot, line_of, span_of, widen


def _plot(exhibit: Exhibit, found: Findings) -> Plot | None:
    """One line per set; None where nothing has been run."""
    panels, told = [], []
    columns = EvalSets(exhibit, found.small).columns
    for part in (found.paper, found.small):
        title = f"Ours, {part.scale} scale"
        lines = [line for line in _lines(exhibit, part) if line.x]
        if not lines:
            continue
        subtitle = f"{describe_regime(part.runs)}; {part.seeds_text()}"
        panels.append(Panel(title, subtitle, "validation error (%)", tuple(lines), widen(*span_of(lines))))
        ends = [
            f"{line.style} {line.y[0]:.1f} at {columns[int(line.x[0])]} and {line.y[-1]:.1f} at "
            f"{columns[int(line.x[-1])]} images per worker"
            for line in lines
        ]
        told.append(f"{title}: {', '.join(ends)}.")
    if not panels:
        return None
    caption = [
        BARS,
        "At the end of each line: its change from the first point to the last, paired by seed.",
        *(split_sentence(exhibit, part) for part in (found.paper, found.small) if part.has_any),
        *filter(None, [say_exposure(found.small.runs)] if found.small.has_any else []),
        STATS_LEGEND,
    ]
    return Plot(
        exhibit.id,
        exhibit.title,
        axis_title(str(exhibit.columns)),
        tuple(str(column) for column in columns),
        tuple(panels),
        " ".join(caption),
        f"{exhibit.title}. {' '.join(told)}",
    )


def _lines(exhibit: Exhibit, part: Measurements) -> list[Line]:
    sets = EvalSets(exhibit, part)
    lines = []
    for name, metric in METRICS.items():
        points = [
            (place, value)
            for place, column in enumerate(sets.columns)
            if (value := estimate(list(sets.values(column, metric).values()))) is not None
        ]
        loss = sets.loss(sets.columns[-1], metric)
        lines.append(line_of(name, name if loss is None else f"{name} {signed(loss.mean)}", points))
    return lines


EVAL_STATS_FIGURE = Kind(
    needs=frozenset({"columns", "reference"}),
    complete=require_whole_reference,
    plot=_plot,
    folder="figures",
    links=(("picture", ".svg"),),
)
