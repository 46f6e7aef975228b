"""Percentiles against epoch: one panel per norm, four lines, and a y axis of its own for what spreads far wider."""

from collections.abc import Container, Mapping
from typing import Any

import pytest

from gnexp.config import RunConfig, norm_config
from gnexp.config.experiment import Expansion
from gnexp.report.kinds.percentile_figure import PERCENTILE_FIGURE
from gnexp.report.parse import parse_exhibit
from gnexp.report.render.figures import digest_of, draw
from gnexp.report.render.plots import Plot
from gnexp.runs.result import Result
from tests.report.report_grids import expand_grid, find, runs_of
from tests.report.report_runs import NORMS, result_of

EXHIBIT = parse_exhibit(
    {
        "id": "figure6",
        "order": 1,
        "kind": "percentile_figure",
        "title": "Percentiles of the output",
        "source": "Figure 6",
        "verified": "secondary",
        "experiments": ["vgg"],
        "axes": ["norm"],
        "panels": "norm",
        "metrics": ["probe/p99", "probe/p80", "probe/p20", "probe/p1"],
    }
)
SHAPE = {"probe/p99": 2.0, "probe/p80": 1.0, "probe/p20": -1.0, "probe/p1": -2.0}


def make(at: Mapping[str, Any]) -> RunConfig:
    norm = NORMS.get(at["norm"], norm_config(kind="none"))
    return RunConfig(norm=norm, batch=32)


def expand(scale: str) -> Expansion:
    return expand_grid("vgg", scale, {"norm": ["none", "bn", "gn"]}, make, num_seeds=2)


def result(run: RunConfig, sizes: Mapping[str, float], started: Container[str] = ()) -> Result:
    size = sizes[run.norm.kind] + run.seed
    series = [
        {"epoch": epoch, **{key: value * size * epoch for key, value in SHAPE.items()}} for epoch in (1, 2, 3)
    ]
    if run.norm.kind in started:
        series[0] |= {key.replace("/", "/start_"): value * run.seed for key, value in SHAPE.items()}
    return result_of(run, 20.0, series=series)


def plot_of(
    sizes: Mapping[str, float], scales: tuple[str, ...] = ("small",), started: Container[str] = ()
) -> Plot | None:
    runs = [run for scale in scales for run in runs_of(expand(scale)) if run.norm.kind in sizes]
    results = {run.run_id: result(run, sizes, started) for run in runs}
    return PERCENTILE_FIGURE.plot(EXHIBIT, find(EXHIBIT, expand("small"), expand("paper"), results))


def test_a_panel_per_norm_with_the_mean_of_each_percentile() -> None:
    plot = plot_of({"none": 1, "bn": 1, "gn": 1})
    assert plot is not None and plot.x_label == "epoch"
    assert [panel.title for panel in plot.panels] == ["No norm", "BN", "GN"]
    top = plot.panels[0].lines[0]
    assert [line.label for line in plot.panels[0].lines] == ["99th", "80th", "20th", "1st"]
    assert top.y == pytest.approx((3.0, 6.0, 9.0))
    assert (top.low[2], top.high[2]) == (6.0, 12.0)
    assert len({panel.y_limits for panel in plot.panels}) == 1 and "y axis of its own" not in plot.caption
    assert digest_of(draw(plot, has_narrow=False).png) == plot.digest


def test_what_spreads_far_wider_has_a_y_axis_of_its_own_and_says_so() -> None:
    plot = plot_of({"none": 100, "bn": 1, "gn": 2})
    assert plot is not None
    none, bn, gn = (panel.y_limits for panel in plot.panels)
    assert bn == gn and none[1] > 10 * bn[1]
    assert "A y axis of its own, since its values spread far wider: No norm." in plot.caption


def test_each_scale_has_its_panels_and_what_is_missing_is_told() -> None:
    plot = plot_of({"none": 1, "bn": 1, "gn": 1}, scales=("small", "paper"))
    assert plot is not None and len(plot.panels) == 6
    part = plot_of({"bn": 1})
    assert part is not None and [panel.title for panel in part.panels] == ["BN"]
    assert "4 of 6 runs are missing at small scale." in part.caption
    assert plot_of({}) is None


def test_the_first_point_is_before_training_and_runs_without_one_are_told() -> None:
    sizes = {"none": 1, "bn": 1, "gn": 1}
    whole = plot_of(sizes, started=sizes)
    assert whole is not None and "No point before" not in whole.caption
    assert "Epoch 0 is before training: BN, which has no running" in whole.caption
    assert {line.x for panel in whole.panels for line in panel.lines} == {(0.0, 1.0, 2.0, 3.0)}
    top = whole.panels[0].lines[0]
    assert (top.y[0], top.low[0], top.high[0]) == pytest.approx((1.0, 0.0, 2.0))  # seeds 0 and 1
    some = plot_of(sizes, started=["gn"])
    assert some is not None and some.panels[2].lines[0].x[0] == 0.0 and some.panels[1].lines[0].x[0] == 1.0
    assert "No point before training: runs of No norm and BN are older than it." in some.caption
    older = plot_of(sizes)
    assert older is not None and "Epoch 0" not in older.caption
