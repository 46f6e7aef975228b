"""Stale numbers: a listed run's are a dash with the reason, and a report that shows one of them fails its check."""

from pathlib import Path
from typing import Any

import pytest

from gnexp.compose.exhibits import load_stale
from gnexp.report import check, render
from gnexp.report.exhibits.stale import parse_stale, say_struck, strike
from gnexp.runs.result import load_result
from tests.report.report_runs import CURVES, TABLE, expand, result_of, runs_of, write_runs

RESULTS = Path(__file__).parents[2] / "results"
BN2 = [run for run in runs_of("sizes") if run.norm.kind == "bn" and run.batch == 2]
OTHERS = [run for run in runs_of("sizes") if run not in BN2]
ENTRY: dict[str, Any] = {
    "runs": [run.run_id for run in BN2],
    "commit": "0123456789ab",  # as result_of has it
    "metrics": ["val/*_precise"],
    "reason": "which counted twice",
}


def table(folder: Path) -> str:
    return (folder / "results" / "tables" / "table2.md").read_text(encoding="utf-8")


def row(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def render_in(folder: Path, *stale: dict[str, Any], exhibits: tuple[dict[str, Any], ...] = (TABLE,)) -> None:
    render(exhibits, expand, runs_dir=folder / "runs", results_dir=folder / "results", stale=stale)


def test_a_listed_number_is_a_dash_with_its_reason(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", runs_of("sizes"))
    render_in(tmp_path, ENTRY)
    text = table(tmp_path)
    assert row(text, "`precise`") == ["16.1 ± 0.8 (n=3)", "–", "–"]
    assert row(text, "`worker0`")[1] == "23.0 ± 0.9 (n=3)"  # what is not listed stays
    ids = ", ".join(f"`{i}`" for i in sorted(ENTRY["runs"])[:2]) + f" and `{sorted(ENTRY['runs'])[2]}`"
    words = f"Left out as stale: `val/*_precise` of runs {ids}, written at commit `0123456789ab`, which counted twice."
    assert f"- {words}\n" in text
    for page in ("README.md", "report.html"):
        assert "which counted twice." in (tmp_path / "results" / page).read_text(encoding="utf-8")
    lines = (tmp_path / "results" / "tables" / "table2.csv").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if ",bn,2,val/top1_error_precise," in line and "small,sizes," in line] == [
        f"table2,small,sizes,bn,2,val/top1_error_precise,,,0,0,3,,{' '.join(run.run_id for run in BN2)}"
    ]
    assert check([TABLE], expand, results_dir=tmp_path / "results", stale=[ENTRY]) == []


def test_check_fails_where_a_listed_number_is_rendered(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", runs_of("sizes"))
    render_in(tmp_path)
    problems = check([TABLE], expand, results_dir=tmp_path / "results", stale=[ENTRY])
    for name in ("table2.md", "table2.csv", "README.md"):
        assert any(name in problem for problem in problems)


def test_a_curve_leaves_it_out_too(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", runs_of("sizes"))
    every = {**ENTRY, "metrics": ["val/top1_error"]}
    render_in(tmp_path, every, exhibits=(CURVES,))
    page = (tmp_path / "results" / "report.html").read_text(encoding="utf-8")
    assert "BN, by images per worker (small scale: fashion_scenes, thin_resnet): 32 ends at" in page
    assert "2 ends at 30.7" in page  # GN's
    assert "2 ends at 36.3" not in page


def test_a_run_made_again_by_other_code_keeps_its_numbers(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", OTHERS)
    again = {"commit": "fedcba9876543210", "dirty": False, "python": "3.11", "torch": "2.9"}
    write_runs(tmp_path / "runs", BN2, env=[again])
    render_in(tmp_path, ENTRY)
    assert row(table(tmp_path), "`precise`")[1] == "22.0 ± 0.9 (n=3)"
    assert "stale" not in table(tmp_path)


def test_only_what_is_shown_is_told() -> None:
    run = BN2[0]
    _, struck = strike({run.run_id: result_of(run)}, parse_stale([ENTRY]))
    assert say_struck(struck, {run.run_id}, ["val/top1_error"]) == []
    assert len(say_struck(struck, {run.run_id}, ["val/top1_error_precise"])) == 1
    assert say_struck(struck, {"another"}) == []


def test_a_run_that_was_resumed_by_other_code_does_not(tmp_path: Path) -> None:
    run = BN2[0]
    wrong, right = {"commit": "0123456789abcdef"}, {"commit": "fedcba9876543210"}
    kept, struck = strike({run.run_id: result_of(run, env=[wrong, right])}, parse_stale([ENTRY]))
    assert "val/top1_error_precise" not in kept[run.run_id].metrics
    assert [one.run_ids for one in struck] == [(run.run_id,)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metric": []}, "entry 1: needs commit, metrics, reason, runs, got "),
        ({"runs": "c6ba270c9041"}, "entry 1: runs must be a list of texts"),
        ({"runs": [123456789012]}, r"entry 1: runs must be .*in quotes.*got \[123456789012\]"),
        ({"commit": 1}, "entry 1: commit must be a text"),
        ({"metrics": []}, "entry 1: metrics must be a list"),
        ({"reason": ""}, "entry 1: reason must be a text"),
    ],
)
def test_what_the_list_cannot_hold_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"stale.yaml, {words}"):
        parse_stale([{**ENTRY, **change}])


def test_every_entry_of_ours_speaks_of_numbers_that_are_there() -> None:
    """An entry whose runs have been run again, or whose ids have changed, has to go or to follow them."""
    for entry in parse_stale(load_stale()):
        for run_id in entry.runs:
            result = load_result(RESULTS / "runs" / f"{run_id}.json")
            assert entry.names_in(result), (run_id, entry.metrics)
