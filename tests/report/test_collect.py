"""Runs on their way into results/runs: what is copied, what is kept, what becomes a note."""

import dataclasses
import json
from pathlib import Path

import pytest

from gnexp.config import RunConfig
from gnexp.report.exhibits.collect import Collection, copy_fresh, find_fresh, load_store
from tests.report.report_runs import directory_of, result_of, runs_of, write_runs

RUNS = runs_of("sizes")
RUN = RUNS[0]
WANTED: dict[str, RunConfig] = {run.run_id: run for run in RUNS}


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "results" / "runs"


def collect(runs_dir: Path, store: Path, *, overwrite: bool = False) -> Collection:
    found = find_fresh(runs_dir, store, WANTED, overwrite=overwrite)
    copy_fresh(found, store)
    return found


def test_copies_unchanged(runs_dir: Path, store: Path) -> None:
    write_runs(runs_dir, [RUN])
    source = directory_of(runs_dir, RUN) / "result.json"
    source.write_text(
        source.read_text(encoding="utf-8") + "\n\n", encoding="utf-8"
    )  # bytes that saving again would not keep
    assert collect(runs_dir, store).notes == ()
    assert (store / f"{RUN.run_id}.json").read_bytes() == source.read_bytes()


def test_takes_only_what_an_exhibit_names(runs_dir: Path, store: Path) -> None:
    write_runs(runs_dir, [dataclasses.replace(RUN, seed=99)], error=1.0)
    assert collect(runs_dir, store).fresh == {}


def test_never_replaces_a_present_id_unless_told(runs_dir: Path, store: Path) -> None:
    write_runs(runs_dir, [RUN], error=20.0)
    collect(runs_dir, store)
    write_runs(runs_dir, [RUN], error=10.0)
    (note,) = collect(runs_dir, store).notes
    assert "was kept" in note and RUN.run_id in note
    assert load_store(store, WANTED)[0][RUN.run_id].metrics["val/top1_error"] == 20.0
    collect(runs_dir, store, overwrite=True)
    assert load_store(store, WANTED)[0][RUN.run_id].metrics["val/top1_error"] == 10.0


def test_a_torn_result_is_a_note(runs_dir: Path, store: Path) -> None:
    write_runs(runs_dir, RUNS[:2])
    torn = directory_of(runs_dir, RUN) / "result.json"
    torn.write_bytes(torn.read_bytes()[:150])
    found = collect(runs_dir, store)
    assert list(found.fresh) == [RUNS[1].run_id]
    assert "not collected" in found.notes[0] and str(torn) in found.notes[0]


def test_an_unfinished_run_is_a_note(runs_dir: Path, store: Path) -> None:
    directory = directory_of(runs_dir, RUN)
    directory.mkdir(parents=True)
    (directory / "metrics.jsonl").write_text('{"epoch": 1}\n{"epo', encoding="utf-8")
    found = collect(runs_dir, store)
    assert found.fresh == {}
    assert "1 run not finished" in found.notes[0] and directory.name in found.notes[0]


def test_two_results_of_one_id_are_a_note_and_neither_is_taken(runs_dir: Path, store: Path) -> None:
    write_runs(runs_dir, [RUN])
    twin = runs_dir / f"{RUN.run_id}-copy" / "result.json"
    result_of(RUN, 99.0).save(twin)
    found = collect(runs_dir, store)
    assert found.fresh == {}
    assert "two different results" in found.notes[0]
    result_of(RUN).save(twin)  # the same bytes: no doubt which to take
    assert list(collect(runs_dir, store).fresh) == [RUN.run_id]


def test_smoke_is_refused(runs_dir: Path, store: Path) -> None:
    write_runs(runs_dir, [RUN], scale="smoke")
    found = collect(runs_dir, store)
    assert found.fresh == {}
    assert "scale smoke" in found.notes[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"science": {"batch": 3}}, "its science is not that of run"),
        ({"status": "fine"}, "its status is fine"),
        ({"metrics": {}}, "has no metrics"),
        ({"metrics": {"val/top1_error": "low"}}, "not all numbers"),
        ({"series": [1]}, "not a list of records"),
    ],
)
def test_what_no_run_writes_is_refused(
    runs_dir: Path, store: Path, changes: dict[str, object], words: str
) -> None:
    write_runs(runs_dir, [RUN], **changes)
    found = collect(runs_dir, store)
    assert found.fresh == {}
    assert words in found.notes[0]


def test_a_nan_is_refused(runs_dir: Path, store: Path) -> None:
    write_runs(runs_dir, [RUN])
    path = directory_of(runs_dir, RUN) / "result.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values["metrics"]["val/top1_error"] = float("nan")
    path.write_text(json.dumps(values), encoding="utf-8")
    assert collect(runs_dir, store).fresh == {}


def test_a_torn_file_in_the_store_is_left_out(store: Path) -> None:
    for run in RUNS[:2]:
        result_of(run).save(store / f"{run.run_id}.json")
    (store / f"{RUN.run_id}.json").write_text("{", encoding="utf-8")
    results, notes = load_store(store, WANTED)
    assert list(results) == [RUNS[1].run_id]
    assert len(notes) == 1 and f"runs/{RUN.run_id}.json" in notes[0]
    assert str(store) not in notes[0]  # the report's text must not depend on where it lies


def test_runs_that_saw_different_data_are_a_note(store: Path) -> None:
    result_of(RUNS[0]).save(store / f"{RUNS[0].run_id}.json")
    result_of(RUNS[1], data_fingerprint="other").save(store / f"{RUNS[1].run_id}.json")
    _, notes = load_store(store, WANTED)
    assert len(notes) == 1 and "saw different data" in notes[0]
    assert RUNS[0].run_id in notes[0] and RUNS[1].run_id in notes[0]
