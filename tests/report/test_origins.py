"""Cells of several machines or states of the code: the report says which, by the axis that tells them apart."""

import dataclasses
from pathlib import Path

from gnexp.config import RunConfig
from gnexp.report import render
from gnexp.report.exhibits.origins import say_origins
from gnexp.report.parse import parse_exhibit
from gnexp.runs.result import Result
from tests.report import report_runs
from tests.report.report_grids import find, runs_of
from tests.report.report_runs import TABLE, result_of
from tests.report.test_gap import EXHIBIT, expand, findings
from tests.report.test_gap import TABLE as WHY
from tests.report.test_gap import result as gap_result

OLD, NEW = (
    {"commit": "a" * 16, "processor": "Old", "python": "3.11", "torch": "2.9"},
    {"commit": "b" * 16, "processor": "New", "python": "3.11", "torch": "2.9"},
)
BOTH = "Differences between these hold that change too."


def result(run: RunConfig, *env: dict[str, str]) -> Result:
    return dataclasses.replace(gap_result(run), env=list(env))


def test_cells_that_an_axis_tells_apart_are_told_by_it(tmp_path: Path) -> None:
    """The cells at full exposure are older than the others, as those of `why` are."""
    runs = runs_of(expand("why", "small"))
    results = {r.run_id: result(r, OLD if r.data.exposure == 1 else NEW) for r in runs}
    newer = {**NEW, "commit": "c" * 16}
    results[runs[-1].run_id] = result(runs[-1], NEW, newer)  # a run that was resumed, of exposure 0.5
    words = (
        "Its cells are not all of one machine and one state of the code: exposure 1 on Old (`aaaaaaa`); exposure 0 and "
        f"exposure 0.5 on New (`bbbbbbb`, `ccccccc`). {BOTH}"
    )
    assert say_origins(EXHIBIT, findings(results).ours) == words
    for run_id, found in results.items():
        found.save(tmp_path / "runs" / f"{run_id}-x" / "result.json")
    render([WHY], expand, runs_dir=tmp_path / "runs", results_dir=tmp_path / "results")
    for name in ("tables/why_table.md", "report.html"):
        text = (
            (tmp_path / "results" / name)
            .read_text(encoding="utf-8")
            .replace("<code>", "`")
            .replace("</code>", "`")
        )
        assert words in text


def test_cells_that_no_axis_tells_apart_are_counted() -> None:
    runs = report_runs.runs_of("sizes")
    results = {r.run_id: dataclasses.replace(result_of(r), env=[NEW if r.seed else OLD]) for r in runs}
    exhibit = parse_exhibit(TABLE)
    small, paper = (report_runs.expand("sizes", scale) for scale in ("small", "paper"))
    told = say_origins(exhibit, find(exhibit, small, paper, results).ours)
    assert "New (8 runs at `bbbbbbb`); Old (4 runs at `aaaaaaa`). " in told


def test_one_machine_and_one_commit_need_no_words() -> None:
    results = {r.run_id: result(r, NEW) for r in runs_of(expand("why", "small"))}
    assert say_origins(EXHIBIT, findings(results).ours) == ""
    assert say_origins(EXHIBIT, findings({}).ours) == ""


def test_another_commit_on_the_same_machine_is_told() -> None:
    first, *rest = runs_of(expand("why", "small"))
    results = {r.run_id: result(r, NEW) for r in rest}
    results[first.run_id] = result(first, NEW, {**NEW, "commit": OLD["commit"]})
    told = say_origins(EXHIBIT, findings(results).ours)
    assert "1 run at `bbbbbbb`, then `aaaaaaa`" in told and "New" in told
