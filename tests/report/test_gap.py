"""The gap of small batches against a property: its numbers, what is claimed of them, and the files."""

import csv
import dataclasses
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gnexp.config import RunConfig, data_config
from gnexp.config.experiment import Expansion
from gnexp.report import check, render
from gnexp.report.exhibits.cells import Findings
from gnexp.report.kinds.gap_figure import GAP_FIGURE
from gnexp.report.kinds.gap_table import Gaps, gap_sentences
from gnexp.report.parse import parse_exhibit
from gnexp.runs.result import Result
from tests.report.report_grids import expand_grid, find, runs_of
from tests.report.report_runs import NORMS, result_of

FIGURE: dict[str, Any] = {
    "id": "why",
    "order": 1,
    "kind": "gap_figure",
    "title": "Loss at 2 images per worker",
    "source": "gnexp",
    "experiments": ["why"],
    "axes": ["data.exposure", "norm", "batch"],
    "columns": "data.exposure",
    "lines": "norm",
}
TABLE = {**FIGURE, "id": "why_table", "order": 2, "kind": "gap_table"}
EXHIBIT = parse_exhibit(FIGURE)
EXPOSURES = {"dark": 0.0, "half": 0.5, "full": 1.0}
NOISE = {32: (0.0, 0.2, -0.2), 2: (0.1, 0.0, -0.1)}


def make(at: Mapping[str, Any]) -> RunConfig:
    data = data_config(name=at["data"], exposure=EXPOSURES.get(at["data"]))
    return RunConfig(norm=NORMS[at["norm"]], batch=at["batch"], data=data)


def expand(experiment: str, scale: str) -> Expansion:
    data = ["full", "dark", "half"] if scale == "small" else ["imagenet"]
    return expand_grid(experiment, scale, {"data": data, "norm": ["bn", "gn"], "batch": [32, 2]}, make)


def result(run: RunConfig) -> Result:
    """BN loses 1 point at no exposure and 7 at full, GN half a point at any."""
    cost = 1 + 6 * (run.data.exposure or 0.0) if run.norm.kind == "bn" else 0.5
    return result_of(run, 15 + (cost if run.batch == 2 else 0) + NOISE[run.batch][run.seed])


def findings(results: Mapping[str, Result]) -> Findings:
    return find(EXHIBIT, expand("why", "small"), expand("why", "paper"), results)


@pytest.fixture
def results() -> dict[str, Result]:
    return {run.run_id: result(run) for run in runs_of(expand("why", "small"))}


def test_a_gap_is_welch_s_and_its_growth_a_contrast_of_four_cells(results: dict[str, Result]) -> None:
    gaps = Gaps(EXHIBIT, findings(results).ours)
    assert (gaps.xs, gaps.small, gaps.large) == ([0.0, 0.5, 1.0], 2, 32)
    assert gaps.values("bn", 0.5, 2) == pytest.approx([19.1, 19.0, 18.9])
    gap, growth = gaps.estimate("bn", 0.5), gaps.growth("bn")
    assert gap is not None and growth is not None
    assert (gap.mean, gap.counts) == (pytest.approx(4.0), (3, 3))
    assert (growth.mean, growth.counts) == (pytest.approx(6.0), (3, 3, 3, 3))
    # Variances 0.04 at 32 and 0.01 at 2: the noise is the same at every exposure, and counts at each.
    assert gap.error == pytest.approx(math.sqrt(0.05 / 3))
    assert growth.error == pytest.approx(math.sqrt(0.10 / 3))
    assert gap.degrees == pytest.approx(2 * 0.05**2 / (0.04**2 + 0.01**2))
    assert growth.degrees == pytest.approx(2 * 0.10**2 / (2 * (0.04**2 + 0.01**2)))


def test_it_plots_one_line_per_norm_over_a_dotted_zero(results: dict[str, Result]) -> None:
    plot = GAP_FIGURE.plot(EXHIBIT, findings(results))
    assert plot is not None
    assert plot.x_ticks == ("0", "0.5", "1")
    assert plot.x_places == (0.0, 1.0, 2.0)
    (panel,) = plot.panels
    assert panel.reference == 0.0 and panel.y_limits[0] < 0
    assert [line.label for line in panel.lines] == ["BN +6.0", "GN 0.0"]
    assert panel.lines[0].y == pytest.approx((1.0, 4.0, 7.0))
    assert "the gap of BN grows by 6.0 points" in plot.caption


def test_a_growth_is_claimed_only_where_its_interval_leaves_out_zero(results: dict[str, Result]) -> None:
    for run in runs_of(expand("why", "small")):
        if run.data.name == "full" and run.batch == 2:
            results[run.run_id] = result_of(run, 15 + 10 * run.seed)
    told = gap_sentences(EXHIBIT, findings(results).ours)
    assert "the gap of BN is not seen to change: +9.0 points (95 % interval −" in told[0]
    few = {id_: r for id_, r in results.items() if r.science["seed"] == 0}
    assert "no interval and no claim" in gap_sentences(EXHIBIT, findings(few).ours)[0]


def test_what_is_missing_or_diverged_is_left_out(results: dict[str, Result]) -> None:
    for run in runs_of(expand("why", "small")):
        if run.data.name == "half" and run.norm.kind == "bn" and run.batch == 2:
            results[run.run_id] = dataclasses.replace(results[run.run_id], status="diverged", metrics={})
        if run.data.name == "full" and run.norm.kind == "gn":
            del results[run.run_id]
    plot = GAP_FIGURE.plot(EXHIBIT, findings(results))
    assert plot is not None
    bn, gn = plot.panels[0].lines
    assert bn.gaps == (0,) and "Dashed" in plot.caption
    assert gn.x == (0.0, 1.0) and gn.label == "GN"
    assert "gap of GN grows with the spread of exposure has not been measured" in plot.caption
    assert GAP_FIGURE.plot(EXHIBIT, findings({})) is None


def test_the_table_has_the_plotted_numbers(tmp_path: Path) -> None:
    for run in runs_of(expand("why", "small")):
        result(run).save(tmp_path / "runs" / f"{run.run_id}-x" / "result.json")
    places = {"results_dir": tmp_path / "results"}
    render([FIGURE, TABLE], expand, runs_dir=tmp_path / "runs", **places)
    assert check([FIGURE, TABLE], expand, **places) == []
    text = (tmp_path / "results/tables/why_table.md").read_text(encoding="utf-8")
    assert "| gap of BN " in text and "+4.0 ± 0.4 (n=3)" in text and "+6.00 [+5.55, +6.45] (n=3)" in text
    assert "Wu & He" not in text and "imagenet" not in text
    rows = list(
        csv.DictReader(io.StringIO((tmp_path / "results/tables/why_table.csv").read_text(encoding="utf-8")))
    )
    (growth,) = [row for row in rows if row["data.exposure"] == "1.0 minus 0.0" and row["norm"] == "bn"]
    assert (growth["batch"], growth["mean"], growth["n"]) == ("2 minus 32", "6.0000", "3")
    page = (tmp_path / "results/report.html").read_text(encoding="utf-8")
    assert "the gap of BN grows by 6.0 points" in page and "gap of BN</th>" in page
    readme = (tmp_path / "results/README.md").read_text(encoding="utf-8")
    assert "figures/why.svg" in readme


def test_before_any_run_it_says_how_to_make_them(tmp_path: Path) -> None:
    render([FIGURE, TABLE], expand, runs_dir=tmp_path / "runs", results_dir=tmp_path / "results")
    text = (tmp_path / "results/tables/why_table.md").read_text(encoding="utf-8")
    assert "Nothing has been run yet" in text and "gnexp sweep experiment=why" in text
    assert not (tmp_path / "results/figures/why.svg").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"axes": ["data.exposure", "norm"]},
        {"axes": ["data.exposure", "norm", "batch", "model"]},
        {"kind": "eval_stats_table", "reference": {"norm": "bn"}},
        {"kind": "percentile_figure", "panels": "norm", "metrics": ["probe/p1"]},
    ],
)
def test_axes_are_those_that_the_keys_span(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="exhibit why: axes of this .* must be "):
        parse_exhibit({**FIGURE, **change})


def test_ticks_stand_true_to_scale(results: dict[str, Result]) -> None:
    plot = GAP_FIGURE.plot(EXHIBIT, findings(results))
    assert plot is not None
    uneven = dataclasses.replace(plot, x_ticks=("0", "0.25", "1"), x_places=(0.0, 0.5, 2.0))
    assert [line.x for line in uneven.placed_panels[0].lines] == [(0.0, 0.5, 2.0)] * 2
    assert uneven.digest != plot.digest
