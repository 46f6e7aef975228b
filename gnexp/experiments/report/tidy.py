"""A table's numbers as tidy CSV: one row per scale, cell and quantity."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from gnexp.experiments.plan import AxisValue
from gnexp.experiments.report.axes import cell_spelling
from gnexp.experiments.report.cells import Findings, Measurements
from gnexp.experiments.report.exhibit import METRICS, Exhibit
from gnexp.experiments.report.statistics import Estimate


@dataclass(frozen=True)
class Derived:
    """A number made from several cells, for a row of its own."""

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
    effect = f"{exhibit.metric} minus {cell_spelling(exhibit.reference)}"
    for measurements in filter(None, (found.small, found.control, found.paper)):
        for key, cell in measurements.cells.items():
            ids = " ".join(result.run_id for _, result in sorted(cell.results.items()))
            paper = exhibit.paper.get(exhibit.paper_key(key))
            reference = exhibit.reference_of(key)
            quantities: list[tuple[str, Estimate | None, float | None]] = [
                (metric, cell.estimate(metric), paper if metric == exhibit.metric else None)
                for metric in METRICS.values()
            ]
            if exhibit.reference:
                difference = measurements.difference(key, reference, exhibit.metric)
                quantities.append((effect, difference, exhibit.paper_difference(key, reference)))
            for name, value, theirs in quantities:
                where = [exhibit.id, measurements.scale, " ".join(measurements.experiments), *key, name]
                beside = "" if theirs is None else f"{theirs:.1f}"
                writer.writerow([*where, *_numbers(value), cell.num_diverged, cell.num_planned, beside, ids])
    for row in derived:
        where = [exhibit.id, row.part.scale, " ".join(row.part.experiments), *row.where, row.quantity]
        writer.writerow([*where, *_numbers(row.value), "", "", "", ""])
    return file.getvalue()


def _numbers(value: Estimate | None) -> list[object]:
    return ["", "", 0] if value is None else [_number(value.mean), _number(value.half_width), value.n]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
