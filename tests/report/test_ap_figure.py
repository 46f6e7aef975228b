"""AP against iteration: which panels and lines, where their points stand, and runs that have no curve."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from gnexp.config.experiment import Expansion
from gnexp.report.exhibits.cells import Findings, Measurements, measure
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.kinds.ap_figure import AP_FIGURE
from gnexp.report.parse import parse_exhibit
from gnexp.report.render.plots import Plot
from gnexp.runs.result import Result
from tests.composing import COMPOSER
from tests.report.report_detection import load
from tests.report.report_runs import result_of

EXPANSIONS = {
    (name, scale): COMPOSER.expand(name, scale)
    for name in ("coco_fpn", "coco_scratch")
    for scale in ("small", "paper")
}


def results_of(expansion: Expansion, points: Sequence[float]) -> dict[str, Result]:
    """Runs whose AP rises in equal steps to 30 plus its seed, at some shares of the schedule."""
    found = {}
    for cell in expansion.cells:
        for run in cell.runs:
            epochs = [round(point * run.recipe.epochs) for point in points]
            aps = {epoch: (30.0 + run.seed) * (place + 1) / len(epochs) for place, epoch in enumerate(epochs)}
            series = [
                {"epoch": epoch, **({"val/box_ap": aps[epoch]} if epoch in aps else {})}
                for epoch in range(1, run.recipe.epochs + 1)
            ]
            found[run.run_id] = result_of(run, 1.0, series=series)
    return found


def plot_of(exhibit: Exhibit, points: Sequence[float]) -> Plot | None:
    def at(scale: str, results: dict[str, Result]) -> Measurements:
        expansion = EXPANSIONS[exhibit.experiments[0], scale]
        return measure([expansion], exhibit.axes, results, shows=exhibit.shows)

    results = results_of(EXPANSIONS[exhibit.experiments[0], "small"], points)
    assert AP_FIGURE.plot is not None
    return AP_FIGURE.plot(exhibit, Findings(at("small", results), at("paper", {}), None))


def test_a_panel_a_schedule_and_a_line_a_norm() -> None:
    plot = plot_of(parse_exhibit(load("table6_curves")), (0.2, 0.4, 0.6, 0.8, 1.0))
    assert plot is not None and plot.x_label == "iteration" and "Not in the paper" in plot.caption
    short, long = plot.panels
    assert [line.style for line in short.lines] == ["frozen_bn", "bn", "sync_bn", "gn"]
    assert {line.style for line in long.lines} == {"frozen_bn", "bn", "sync_bn", "gn"}
    gn = short.lines[-1]
    # Epochs 2, 4, 5, 7 and 9 of 70 iterations; the mean of seeds 0 and 1, and their range.
    assert gn.x == (140.0, 280.0, 350.0, 490.0, 630.0)
    assert gn.y == pytest.approx([6.1, 12.2, 18.3, 24.4, 30.5])
    assert gn.low[-1] == 30 and gn.high[-1] == 31
    assert long.lines[0].x[-1] == 945
    assert short.y_limits == long.y_limits and short.y_limits[0] < 0 < 31 < short.y_limits[1]


def test_a_deeper_network_has_a_panel_of_its_own() -> None:
    plot = plot_of(parse_exhibit(load("table7_curves")), (0.5, 1.0))
    assert plot is not None
    assert [[line.style for line in panel.lines] for panel in plot.panels] == [
        ["gn", "sync_bn", "bn"],
        ["gn"],
    ]


def test_runs_that_were_scored_at_their_end_alone_have_no_curve() -> None:
    assert plot_of(parse_exhibit(load("table7_curves")), (1.0,)) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ["val/top1_error"]}, "metrics must be one of val/box_ap, .* got val/top1_error"),
        ({"metrics": ["val/box_ap", "val/mask_ap"]}, "got val/box_ap, val/mask_ap"),
        ({"lines": "batch"}, "lines must be one of model, norm, got batch"),
    ],
)
def test_what_an_exhibit_must_say(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_exhibit({**load("table7_curves"), **change})


def test_two_cells_for_one_line_are_refused() -> None:
    exhibit = dataclasses.replace(parse_exhibit(load("table6_curves")), only={})
    with pytest.raises(ValueError, match="table6_curves: only must leave one cell"):
        plot_of(exhibit, (0.5, 1.0))
