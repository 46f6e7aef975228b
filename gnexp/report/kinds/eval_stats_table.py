"""How much of a loss is training's and how much evaluation's: errors under each set of running statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gnexp.config.experiment import AxisValue
from gnexp.config.fields import require
from gnexp.report.exhibits.axes import Key, axis_title, cell_spelling
from gnexp.report.exhibits.cells import Findings, Measured, Measurements, within_runs
from gnexp.report.exhibits.differences import describe_regime, say_changed
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.exhibits.measures import METRICS, stats_legend
from gnexp.report.exhibits.origins import say_origins
from gnexp.report.exhibits.prose import Prose
from gnexp.report.exhibits.statistics import Estimate, difference, estimate
from gnexp.report.exhibits.tidy import Derived
from gnexp.report.exhibits.words import (
    no_interval,
    say_effect,
    say_intervals,
    say_mean,
    say_points,
    signed,
)
from gnexp.report.kinds.kind import Kept, Kind, require_spanned
from gnexp.report.render.blocks import Block, Heading, Table, Text
from gnexp.report.render.tables import fill_commands

_WORKER0, _PRECISE = METRICS["worker0"], METRICS["precise"]


@dataclass(frozen=True)
class _Sentences:
    paired: str
    losses: Annotated[str, "minus"]
    unmeasured: Annotated[str, "of", "minus"]
    no_loss: Annotated[str, "of", "minus", "whole"]
    erred: Annotated[str, "of", "minus", "whole", "training", "evaluation", "why_no_claim"]  # no interval
    split: Annotated[str, "of", "minus", "whole", "training", "evaluation"]
    split_undecided: Annotated[str, "of", "minus", "whole", "training", "evaluation"]


_PROSE = Prose("eval_stats_table", _Sentences)


class EvalSets:
    """The cells of an exhibit at one scale, along its columns, under each set of running statistics."""

    def __init__(self, exhibit: Exhibit, found: Measurements) -> None:
        assert exhibit.columns is not None  # parse_exhibit requires it, and a reference that names all axes
        self.reference: Key = tuple(exhibit.reference[axis] for axis in exhibit.axes)
        self._found = found
        self._place = exhibit.axes.index(exhibit.columns)
        self.start = self.reference[self._place]  # the reference's column
        columns = {key[self._place] for key in found.cells}
        self.columns = sorted(columns, key=float, reverse=True)  # as the paper draws it: from 32 down to 2

    def key(self, column: AxisValue) -> Key:
        """The reference's cell with another column."""
        return (*self.reference[: self._place], column, *self.reference[self._place + 1 :])

    def cell(self, column: AxisValue) -> Measured | None:
        """The cell of a column."""
        return self._found.cells.get(self.key(column))

    def values(self, column: AxisValue, metric: str) -> list[float]:
        """Errors in percent, one per seed."""
        return self._found.values(self.key(column), metric)

    def loss(self, column: AxisValue, metric: str) -> Estimate | None:
        """Error minus the reference's error, both under one set of statistics."""
        return difference(self.values(column, metric), self.values(self.reference[self._place], metric))

    def difference(self, column: AxisValue) -> Estimate | None:
        """Error under worker0 minus error under precise, run by run: both are of the same weights."""
        return estimate(self._within(column))

    def evaluations_part(self, column: AxisValue) -> Estimate | None:
        """Loss under worker0 minus loss under precise: what the difference within a run gains over the reference's."""
        return difference(self._within(column), self._within(self.reference[self._place]))

    def _within(self, column: AxisValue) -> list[float]:
        """Error under worker0 minus error under precise of each run."""
        cell = self.cell(column)
        return [] if cell is None else within_runs(cell, _WORKER0, _PRECISE)


def split_sentence(exhibit: Exhibit, found: Measurements) -> str:
    """What of the loss at the smallest batch is training's and what evaluation's, as far as the intervals allow."""
    sets, words = EvalSets(exhibit, found), _PROSE.text
    last = sets.columns[-1]
    of, minus = exhibit.title_of(sets.key(last)), exhibit.title_of(sets.reference)
    whole, training, part = sets.loss(last, _WORKER0), sets.loss(last, _PRECISE), sets.evaluations_part(last)
    if whole is None or training is None or part is None:
        return words.unmeasured.format(of=of, minus=minus)
    if whole.half_width is not None and not (whole.excludes_zero and whole.mean > 0):
        return words.no_loss.format(of=of, minus=minus, whole=say_points(whole))
    if whole.half_width is None:
        return words.erred.format(
            of=of,
            minus=minus,
            whole=signed(whole.mean),
            training=signed(training.mean),
            evaluation=signed(part.mean),
            why_no_claim=no_interval(whole),
        )
    # Two digits, so that the parts are seen to sum to the whole.
    return (words.split if part.excludes_zero else words.split_undecided).format(
        of=of,
        minus=minus,
        whole=say_points(whole, is_size=True, digits=2),
        training=say_points(training, is_size=training.mean > 0, digits=2),
        evaluation=say_points(part, digits=2),
    )


def _document(exhibit: Exhibit, found: Findings, kept: Kept) -> list[Block]:
    """Errors and losses under each set, what may be said of them, and what stands beside."""
    blocks: list[Block] = []
    for part in (found.ours, found.paper):
        if part.has_any:
            blocks += [
                Heading(f"{part.scale.capitalize()} scale"),
                *_measured_blocks(exhibit, part),
                *fill_commands(part),
            ]
    if not found.ours.has_any:
        blocks = [
            Heading(f"{found.ours.scale.capitalize()} scale"),
            Text("Nothing has been run yet."),
            *fill_commands(found.ours),
            *blocks,
        ]
    return [*blocks, Text(stats_legend()), *([Text(exhibit.beside)] if exhibit.beside else [])]


def _derive(exhibit: Exhibit, found: Findings) -> list[Derived]:
    """The differences as rows of the CSV."""
    rows = []
    for part in (part for part in (found.ours, found.paper) if part.has_any):
        sets = EvalSets(exhibit, part)
        for column in sets.columns:
            key = sets.key(column)
            named = {f"{_WORKER0} minus {_PRECISE}": sets.difference(column)}
            if key != sets.reference:
                where = cell_spelling(exhibit.reference)
                # The cell's own row has the loss under exhibit.metric.
                others = [metric for metric in METRICS.values() if metric != exhibit.metric]
                named |= {f"{metric} minus {where}": sets.loss(column, metric) for metric in others}
                named[f"evaluation's part of the loss against {where}"] = sets.evaluations_part(column)
            rows += [Derived(part, key, name, value) for name, value in named.items()]
    return rows


def _measured_blocks(exhibit: Exhibit, part: Measurements) -> list[Block]:
    sets = EvalSets(exhibit, part)
    corner = axis_title(str(exhibit.columns))
    errors = [
        (f"`{name}`", *(say_mean(sets.cell(column), metric) for column in sets.columns))
        for name, metric in METRICS.items()
    ]
    errors.append(("`worker0` minus `precise`", *(say_effect(sets.difference(c)) for c in sets.columns)))
    others = [column for column in sets.columns if sets.key(column) != sets.reference]
    losses = [
        (f"`{name}`", *(say_effect(sets.loss(column, metric)) for column in others))
        for name, metric in METRICS.items()
    ]
    losses.append(("evaluation's part", *(say_effect(sets.evaluations_part(c)) for c in others)))
    return [
        Text(
            f"{describe_regime(part.runs)}; {part.seeds_text()} per cell; {say_intervals()}; {_PROSE.text.paired} "
            f"{say_changed(part.runs)} {say_origins(exhibit, part)}".rstrip()
        ),
        Table(
            "Error under each set of running statistics, %", (corner, *map(str, sets.columns)), tuple(errors)
        ),
        Table(
            _PROSE.text.losses.format(minus=exhibit.title_of(sets.reference)),
            (corner, *map(str, others)),
            tuple(losses),
        ),
        Text(split_sentence(exhibit, part)),
    ]


def require_whole_reference(exhibit: Exhibit) -> Exhibit:
    """Checks that the keys span the axes and that the reference is one cell; returns the exhibit."""
    require_spanned(exhibit)
    missing = sorted(set(exhibit.axes) - set(exhibit.reference))
    require(
        not missing,
        f"reference of a {exhibit.kind} must name every axis, it lacks {', '.join(missing)}",
    )
    return exhibit


EVAL_STATS_TABLE = Kind(
    needs=frozenset({"columns", "reference"}),
    complete=require_whole_reference,
    document=_document,
    derive=_derive,
)
