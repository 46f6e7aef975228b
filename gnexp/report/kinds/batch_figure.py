"""Error against images per worker: what Figure 1 plots, the paper's panel beside ours and the control's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gnexp.config.fields import require
from gnexp.report.exhibits.axes import axis_values, norm_title
from gnexp.report.exhibits.cells import Findings, Measurements
from gnexp.report.exhibits.differences import describe_regime, say_changed
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.exhibits.prose import Prose
from gnexp.report.exhibits.words import signed
from gnexp.report.kinds.kind import Kind
from gnexp.report.render.plots import Line, Panel, Plot, cut_bars, legends, line_of, span_of, widen


@dataclass(frozen=True)
class _Sentences:
    aligned: Annotated[str, "reference"]


_PROSE = Prose("batch_figure", _Sentences)


def _plot(exhibit: Exhibit, found: Findings) -> Plot:
    """The paper's curve and ours, with what has not been run left out; its axes are norm and batch."""
    batches = [int(batch) for batch in axis_values([*exhibit.paper, *found.ours.cells], 1)]
    norm, batch = (exhibit.reference[axis] for axis in exhibit.axes)
    batches.sort(reverse=True)  # as the paper draws it: from 32 down to 2
    place = float(batches.index(int(batch))) if batch in batches else -1.0  # beside all where none has run it
    paper_lines = _paper_lines(exhibit, batches, is_light=found.paper.has_any)
    drawn: list[tuple[str, str, list[Line]]] = []
    if found.paper.has_any:
        ours = _measured_lines(exhibit, found.paper, batches)
        whose = f"the paper (light); ours, {found.paper.seeds_text()}"
        drawn.append((exhibit.paper_regime, whose, paper_lines + ours))
    else:
        drawn.append(("The paper", exhibit.paper_regime, paper_lines))
    for title, part in (("Ours", found.ours), ("Control", found.control)):
        if part is not None:
            lines = _measured_lines(exhibit, part, batches)
            if lines:
                drawn.append(
                    (
                        f"{title}, {part.scale} scale",
                        f"{describe_regime(part.runs)}; {part.seeds_text()}",
                        lines,
                    )
                )
    panels = _align(drawn, "validation error (%)", (str(norm), place))
    cut = next(filter(None, (cut_bars(panel.lines, panel.y_limits) for panel in panels)), "")
    return Plot(
        id=exhibit.id,
        title=exhibit.title,
        x_label="images per worker",
        x_ticks=tuple(str(batch) for batch in batches),
        panels=panels,
        caption=f"{_batch_caption(exhibit, found, drawn)} {cut}".rstrip(),
        alt=f"{exhibit.title}. " + " ".join(_tell_batch(title, lines, batches) for title, _, lines in drawn),
    )


def _paper_lines(exhibit: Exhibit, batches: list[int], *, is_light: bool) -> list[Line]:
    lines = []
    for norm in axis_values(exhibit.paper, 0):
        points = [
            (i, value)
            for i, b in enumerate(batches)
            if (value := exhibit.paper_value((str(norm), b))) is not None
        ]
        label = norm_title(str(norm))
        if not is_light and len(points) > 1:
            label += f" {signed(points[-1][1] - points[0][1])}"
        lines.append(_line(str(norm), label, points, is_light=is_light))
    return lines


def _measured_lines(exhibit: Exhibit, found: Measurements, batches: list[int]) -> list[Line]:
    lines = []
    for norm in axis_values(found.cells, 0):
        estimates = [
            (i, value)
            for i, batch in enumerate(batches)
            if (cell := found.cells.get((str(norm), batch))) and (value := cell.estimate(exhibit.metric))
        ]
        if not estimates:
            continue
        label = norm_title(str(norm))
        first, last = ((str(norm), batches[i]) for i in (estimates[0][0], estimates[-1][0]))
        change = found.difference(last, first, exhibit.metric) if first != last else None
        label = f"{label} {signed(change.mean)}" if change else label
        seeds = [found.values((str(norm), batches[i]), exhibit.metric) for i, _ in estimates]
        lines.append(line_of(str(norm), label, estimates, seeds))
    return lines


def _line(style: str, label: str, points: list[tuple[int, float]], *, is_light: bool = False) -> Line:
    return Line(
        style, label, tuple(float(x) for x, _ in points), tuple(y for _, y in points), is_light=is_light
    )


def _align(
    drawn: list[tuple[str, str, list[Line]]], y_label: str, reference: tuple[str, float]
) -> tuple[Panel, ...]:
    """Gives every panel the same number of points, with the reference at the same height: heights compare effects.

    reference: the style of its line and its place on the x axis.
    """
    style, place = reference
    starts = [
        [
            y
            for line in lines
            if line.style == style
            for x, y in zip(line.x, line.y, strict=True)
            if x == place
        ]
        for _, _, lines in drawn
    ]
    anchors = [
        start[0] if start else min(min(line.y) for line in lines)
        for start, (_, _, lines) in zip(starts, drawn, strict=True)
    ]
    lows = [0.0]
    highs = [0.0]
    for anchor, (_, _, lines) in zip(anchors, drawn, strict=True):
        lowest, highest = span_of(lines)
        lows.append(lowest - anchor)
        highs.append(highest - anchor)
    low, high = widen(min(lows), max(highs))
    return tuple(
        Panel(title, subtitle, y_label, tuple(lines), (a + low, a + high), a if start else None)
        for a, start, (title, subtitle, lines) in zip(anchors, starts, drawn, strict=True)
    )


def _batch_caption(exhibit: Exhibit, found: Findings, drawn: list[tuple[str, str, list[Line]]]) -> str:
    words = [f"The paper's values: {exhibit.source}."]
    if found.ours.has_any:
        words.append(
            f"{_PROSE.text.aligned.format(reference=exhibit.reference_title)} {legends().bars} {legends().seeds} "
            f"{legends().change}"
        )
        if any(line.gaps for _, _, lines in drawn for line in lines):
            words.append(legends().gaps_of_ends)
        words += filter(None, [exhibit.regime and f"{exhibit.regime}.", say_changed(found.ours.runs)])
    else:
        words.append(f"The {found.ours.scale} scale has not been run yet.")
    if found.control is not None and not found.control.has_any:
        words.append("The control has not been run yet.")
    return " ".join(words)


def _tell_batch(title: str, lines: list[Line], batches: list[int]) -> str:
    told = []
    for line in lines:
        ends = [f"{line.y[k]:.1f} at {batches[int(line.x[k])]}" for k in sorted({0, len(line.x) - 1})]
        whose = "the paper's " if line.is_light else ""
        told.append(f"{whose}{norm_title(line.style)} {' and '.join(ends)} images per worker")
    return f"{title}: {', '.join(told)}."


def _complete(exhibit: Exhibit) -> Exhibit:
    require(
        exhibit.axes == Exhibit.axes,
        f"a {exhibit.kind} has the axes norm and batch, got {', '.join(exhibit.axes)}",
    )
    missing = sorted(set(exhibit.axes) - set(exhibit.reference))
    require(not missing, f"reference of a {exhibit.kind} must name every axis, it lacks {', '.join(missing)}")
    return exhibit


BATCH_FIGURE = Kind(
    needs=frozenset({"lines", "reference", "paper_regime"}),
    has_values=True,
    complete=_complete,
    plot=_plot,
    folder="figures",
    links=(("picture", ".svg"),),
)
