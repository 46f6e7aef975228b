"""Training's part of a loss and evaluation's: the numbers, what is claimed of them, and the files."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gnexp.config import RunConfig
from gnexp.config.experiment import Expansion
from gnexp.report import check, render
from gnexp.report.exhibits.cells import Findings
from gnexp.report.kinds.eval_stats_figure import EVAL_STATS_FIGURE
from gnexp.report.kinds.eval_stats_table import EvalSets, split_sentence
from gnexp.report.parse import parse_exhibit
from gnexp.runs.result import Result
from tests.report.report_grids import expand_grid, find, runs_of
from tests.report.report_runs import NORMS, result_of

TABLE: dict[str, Any] = {
    "id": "eval_stats",
    "order": 1,
    "kind": "eval_stats_table",
    "title": "Three sets of running statistics",
    "source": "gnexp",
    "experiments": ["eval_stats"],
    "columns": "batch",
    "reference": {"norm": "bn", "batch": 32},
    "beside": "Beside it: another study.",
}
FIGURE = {**TABLE, "id": "eval_stats_figure", "order": 2, "kind": "eval_stats_figure"}
EXHIBIT = parse_exhibit(TABLE)
NOISE = (0.0, 0.2, -0.3)


def make(at: Mapping[str, Any]) -> RunConfig:
    return RunConfig(norm=NORMS[at["norm"]], batch=at["batch"])


def expand(experiment: str, scale: str) -> Expansion:
    return expand_grid(experiment, scale, {"norm": ["bn"], "batch": [32, 8, 2]}, make)


def result(run: RunConfig) -> Result:
    """At 2 BN loses 6 points under worker0, 5 of them under precise too."""
    loss = {32: (0.0, 0.0), 8: (1.0, 0.8), 2: (6.0, 5.0)}[run.batch]
    noise = NOISE[run.seed] if run.batch == 2 else 0.0
    worker0, precise = 15.5 + loss[0] + noise, 15 + loss[1] + noise / 2
    metrics = {
        "val/top1_error": worker0,
        "val/top1_error_mean": worker0 - 0.2,
        "val/top1_error_precise": precise,
    }
    return result_of(run, worker0, metrics=metrics)


def findings(results: Mapping[str, Result]) -> Findings:
    return find(EXHIBIT, expand("eval_stats", "small"), expand("eval_stats", "paper"), results)


@pytest.fixture
def results() -> dict[str, Result]:
    return {run.run_id: result(run) for run in runs_of(expand("eval_stats", "small"))}


def test_the_parts_of_a_loss_sum_to_it(results: dict[str, Result]) -> None:
    sets = EvalSets(EXHIBIT, findings(results).ours)
    assert sets.columns == [32, 8, 2]
    whole, training, part = (
        sets.loss(2, "val/top1_error"),
        sets.loss(2, "val/top1_error_precise"),
        sets.evaluations_part(2),
    )
    assert whole is not None and training is not None and part is not None
    assert whole.mean == pytest.approx(training.mean + part.mean)
    # 1 + noise / 2 in each run: it has half the spread of the whole.
    assert part.mean == pytest.approx(1 - 0.05 / 3)
    assert part.half_width == pytest.approx((whole.half_width or 0) / 2)
    difference = sets.difference(32)
    assert difference is not None and difference.mean == pytest.approx(0.5)


def test_the_sentence_divides_the_loss_as_its_intervals_allow(results: dict[str, Result]) -> None:
    told = split_sentence(EXHIBIT, findings(results).ours)
    assert told.startswith("Of the 5.97 points (95 % interval +5.34 to +6.59, 3 seeds) that BN at 2 loses")
    assert "4.98 points (95 %" in told and "+0.98 points" in told and told.endswith("is evaluation's.")
    for run in runs_of(expand("eval_stats", "small")):
        if run.batch == 2:
            metrics = {**results[run.run_id].metrics, "val/top1_error_precise": 20 + run.seed}
            results[run.run_id] = result_of(run, metrics=metrics)
    assert split_sentence(EXHIBIT, findings(results).ours).endswith("cannot be told from 0.")


def test_no_loss_is_divided_where_none_can_be_told(results: dict[str, Result]) -> None:
    flat = {id_: result_of(run, 15 + run.seed * (run.batch - 8)) for id_, run in by_id().items()}
    assert "loses nothing that can be told from 0" in split_sentence(EXHIBIT, findings(flat).ours)
    one = {id_: r for id_, r in results.items() if r.science["seed"] == 0}
    assert "no interval and no claim" in split_sentence(EXHIBIT, findings(one).ours)
    ends = {id_: r for id_, r in results.items() if r.science["batch"] == 8}
    assert split_sentence(EXHIBIT, findings(ends).ours) == "BN at 2 against BN at 32 has not been measured."


def by_id() -> dict[str, RunConfig]:
    return {run.run_id: run for run in runs_of(expand("eval_stats", "small"))}


def test_it_plots_the_losses_of_each_set_in_the_norm_s_colour(results: dict[str, Result]) -> None:
    plot = EVAL_STATS_FIGURE.plot(parse_exhibit(FIGURE), findings(results))
    assert plot is not None
    (panel,) = plot.panels
    assert plot.x_ticks == ("32", "8", "2")
    assert [line.label for line in panel.lines] == ["worker0 +6.0", "mean +6.0", "precise +5.0"]
    worker0 = panel.lines[0]
    assert (worker0.x, worker0.y) == ((1.0, 2.0), (pytest.approx(1.0), pytest.approx(6 - 0.1 / 3)))
    assert panel.reference == 0.0 and {line.hue for line in panel.lines} == {"bn"}
    assert worker0.seeds[1] == pytest.approx((6.0, 6.2, 5.7))
    assert worker0.low[1] is not None and worker0.low[1] > 5  # a difference's interval, not a cell's
    assert EVAL_STATS_FIGURE.plot(parse_exhibit(FIGURE), findings({})) is None


def test_paper_scale_runs_have_a_panel_of_their_own(results: dict[str, Result]) -> None:
    results |= {run.run_id: result(run) for run in runs_of(expand("eval_stats", "paper"))}
    plot = EVAL_STATS_FIGURE.plot(parse_exhibit(FIGURE), findings(results))
    assert plot is not None and [panel.title for panel in plot.panels] == [
        "Ours, paper scale",
        "Ours, small scale",
    ]


def test_the_table_has_errors_losses_and_their_difference(tmp_path: Path) -> None:
    for run in by_id().values():
        result(run).save(tmp_path / "runs" / f"{run.run_id}-x" / "result.json")
    places = {"results_dir": tmp_path / "results"}
    render([TABLE, FIGURE], expand, runs_dir=tmp_path / "runs", **places)
    assert check([TABLE, FIGURE], expand, **places) == []
    text = (tmp_path / "results/tables/eval_stats.md").read_text(encoding="utf-8")
    for line in ("| `worker0` minus `precise` ", "| evaluation's part ", "Beside it: another study."):
        assert line in text
    assert "Wu & He 2018" not in text and "BN at 2 loses" in text
    rows = list(
        csv.DictReader(io.StringIO((tmp_path / "results/tables/eval_stats.csv").read_text(encoding="utf-8")))
    )
    (part,) = [row for row in rows if row["quantity"].startswith("evaluation's part") and row["batch"] == "2"
               and row["n"] == "3"]  # fmt: skip
    assert part["mean"] == "0.9833" and part["scale"] == "small"


def test_the_reference_names_every_axis() -> None:
    """With the batch left out the axes are still those that the keys span, and nothing to take effects against."""
    with pytest.raises(ValueError, match="exhibit eval_stats: reference of a .* every axis, it lacks batch"):
        parse_exhibit({**TABLE, "reference": {"norm": "bn"}})
