"""The gap between small and large batches against a property of the images: why batch normalization fails."""

from __future__ import annotations

import math

from gnexp.report.exhibits.axes import axis_title, norm_title
from gnexp.report.exhibits.cells import Findings
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.exhibits.origins import say_origins
from gnexp.report.exhibits.words import signed
from gnexp.report.kinds.gap_table import Gaps, gap_sentences, model_of, require_gap_axes
from gnexp.report.kinds.kind import Kind
from gnexp.report.render.plots import Line, Panel, Plot, cut_bars, legends, line_of, span_of, widen

_CLIP = 8.0  # points; the bars say what may be claimed, so only those of few seeds that disagree are cut


def _plot(exhibit: Exhibit, found: Findings) -> Plot | None:
    """One line per norm, gaps with Welch's intervals; None where there is no gap yet."""
    gaps = Gaps(exhibit, found.ours)
    lines = [line for line in (_line(gaps, norm) for norm in gaps.norms) if line.x]
    if not lines:
        return None
    words = axis_title(str(exhibit.columns))
    low, high = span_of(lines, clip=_CLIP)
    panel = Panel(
        f"Error at {gaps.small} minus error at {gaps.large}",
        f"{found.ours.scale} scale, {model_of(found.ours)}; {found.ours.seeds_text()}",
        "gap (points)",
        tuple(lines),
        widen(min(low, 0.0), max(high, 0.0)),
        0.0,
    )
    caption = [
        f"Gap: {gaps.title}. {legends().bars}",
        legends().seeds_from.format(of=gaps.small, minus=gaps.large),
        legends().change,
        cut_bars(lines, panel.y_limits),
        *([legends().gaps_of_cells] if any(line.gaps for line in lines) else []),
        *gap_sentences(exhibit, found.ours),
        exhibit.columns_note,
        say_origins(exhibit, found.ours),
    ]
    told = [
        f"{norm_title(line.style)} {signed(line.y[0])} at {gaps.xs[int(line.x[0])]:g} and {signed(line.y[-1])} "
        f"at {gaps.xs[int(line.x[-1])]:g}"
        for line in lines
    ]
    return Plot(
        exhibit.id,
        exhibit.title,
        words,
        tuple(f"{x:g}" for x in gaps.xs),
        (panel,),
        " ".join(filter(None, caption)),
        f"{exhibit.title}. The gap in points by {words}: {', '.join(told)}.",
        # True to scale, and as wide as equal steps.
        tuple((x - gaps.xs[0]) / (gaps.xs[-1] - gaps.xs[0]) * (len(gaps.xs) - 1) for x in gaps.xs)
        if len(gaps.xs) > 1
        else (),
    )


def _line(gaps: Gaps, norm: str) -> Line:
    points = [
        (place, value) for place, x in enumerate(gaps.xs) if (value := gaps.estimate(norm, x)) is not None
    ]
    growth = gaps.growth(norm)
    label = norm_title(norm)
    seeds = []
    for place, _ in points:
        large = gaps.values(norm, gaps.xs[place], gaps.large)
        mean = math.fsum(large) / len(large)
        seeds.append([value - mean for value in gaps.values(norm, gaps.xs[place], gaps.small)])
    return line_of(norm, label if growth is None else f"{label} {signed(growth.mean)}", points, seeds)


GAP_FIGURE = Kind(
    needs=frozenset({"columns", "lines"}),
    complete=require_gap_axes,
    plot=_plot,
    folder="figures",
    links=(("picture", ".svg"),),
)
