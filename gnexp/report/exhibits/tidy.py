"""A table's numbers as tidy CSV: one row per scale, cell and quantity."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gnexp.config.experiment import AxisValue
from gnexp.report.exhibits.axes import Key, cell_spelling
from gnexp.report.exhibits.cells import Findings, Measurements
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.exhibits.measures import STATS
from gnexp.report.exhibits.statistics import Estimate


@dataclass(frozen=True)
class Derived:
    """A number of several cells, for a row of its own."""

    part: Measurements
    where: tuple[AxisValue, ...]  # one entry per axis
    quantity: str
    value: Estimate | None


_NUMBERS = ("mean", "half_width", "n", "diverged", "planned", "paper", "run_ids")


def table_csv(exhibit: Exhibit, found: Findings, derived: Iterable[Derived] = ()) -> str:
    """One row per scale, cell and metric, then what was derived from them; empty where there is no number."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["exhibit", "scale", "experiment", *exhibit.axes, "quantity", *_NUMBERS])
    for part in filter(None, (found.ours, found.control, found.paper)):
        for key, cell in part.cells.items():
            where = [exhibit.id, part.scale, " ".join(part.experiments), *key]
            ids = " ".join(result.run_id for _, result in sorted(cell.results.items()))
            for name, value, theirs in _quantities(exhibit, part, key):
                numbers = [*_numbers(value), cell.num_diverged, cell.num_planned, _paper(theirs), ids]
                writer.writerow([*where, name, *numbers])
    for key in exhibit.paper_only:
        for measure in exhibit.score.measures:
            where = [exhibit.id, found.paper.scale, "", *key, exhibit.key_of(measure)]
            theirs = exhibit.paper_value(key, measure)
            writer.writerow([*where, *_numbers(None), "", "", _paper(theirs), ""])
    for told in exhibit.in_text:
        of, minus = exhibit.paper_key(told.of), exhibit.paper_key(told.minus)
        other = cell_spelling(dict(zip(exhibit.axes, minus, strict=True)))
        where = [exhibit.id, found.paper.scale, "", *of, f"{told.measure.name} minus {other}, in the text"]
        writer.writerow([*where, *_numbers(None), "", "", _paper(told.difference), ""])
    for row in derived:
        where = [exhibit.id, row.part.scale, " ".join(row.part.experiments), *row.where, row.quantity]
        writer.writerow([*where, *_numbers(row.value), "", "", "", ""])
    return file.getvalue()


def _quantities(
    exhibit: Exhibit, part: Measurements, key: Key
) -> Iterator[tuple[str, Estimate | None, float | None]]:
    """Of a cell and each of its measures: name, ours and the paper's, under each set of statistics, then the effect."""
    reference = exhibit.reference_of(key, part.scale)
    named, paper_reference = (exhibit.in_paper(k, part.scale) for k in (key, reference))
    for measure in exhibit.score.measures:
        shown = exhibit.key_of(measure)
        for metric in map(measure.under, STATS):
            theirs = exhibit.paper_value(named, measure) if metric == shown else None
            yield metric, part.cells[key].estimate(metric), theirs
        if exhibit.reference:
            theirs = exhibit.paper_difference(named, paper_reference, measure)
            name = f"{shown} minus {cell_spelling(exhibit.reference)}"
            yield name, part.difference(key, reference, shown), theirs


def _paper(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _numbers(value: Estimate | None) -> list[object]:
    return ["", "", 0] if value is None else [_number(value.mean), _number(value.half_width), value.n]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
