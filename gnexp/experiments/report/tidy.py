"""A table's numbers as tidy CSV: one row per scale, cell and quantity."""

from __future__ import annotations

import csv
import io

from gnexp.experiments.report.cells import Findings
from gnexp.experiments.report.exhibit import METRICS, Exhibit
from gnexp.experiments.report.statistics import Estimate

_HEADER = (
    *("exhibit", "scale", "experiment", "norm", "batch", "quantity"),
    *("mean", "half_width", "n", "diverged", "planned", "paper", "run_ids"),
)


def table_csv(exhibit: Exhibit, found: Findings) -> str:
    """One row per scale, cell and metric; empty where there is no number."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_HEADER)
    for measurements in filter(None, (found.small, found.control, found.paper)):
        for key, cell in measurements.cells.items():
            ids = " ".join(result.run_id for _, result in sorted(cell.results.items()))
            quantities: list[tuple[str, Estimate | None, float | None]] = [
                (metric, cell.estimate(metric), exhibit.paper.get(key) if metric == exhibit.metric else None)
                for metric in METRICS.values()
            ]
            if exhibit.reference is not None:
                name = f"{exhibit.metric} minus {exhibit.reference[0]} at {exhibit.reference[1]}"
                effect = None
                if key in exhibit.paper and exhibit.reference in exhibit.paper:
                    effect = exhibit.paper[key] - exhibit.paper[exhibit.reference]
                quantities.append(
                    (name, measurements.difference(key, exhibit.reference, exhibit.metric), effect)
                )
            for name, value, paper in quantities:
                where = [exhibit.id, measurements.scale, " ".join(measurements.experiments), *key, name]
                numbers = (
                    ["", "", 0]
                    if value is None
                    else [_number(value.mean), _number(value.half_width), value.n]
                )
                beside = "" if paper is None else f"{paper:.1f}"
                writer.writerow([*where, *numbers, cell.num_diverged, cell.num_planned, beside, ids])
    return file.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
