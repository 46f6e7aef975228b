"""Finished runs on their way into results/runs/, and back out of it. What cannot be trusted becomes a note."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path

from gnexp.config import RunConfig, science
from gnexp.runs.directory import RESULT, RunDirectory, run_dirs
from gnexp.runs.result import DIVERGED, FINISHED, Result, load_result
from gnexp.system.files import write_atomic

SCALES = ("small", "demo", "paper")  # what a report shows; smoke never
_MOST_NAMED = 4  # runs in a note on what is left out


@dataclass(frozen=True)
class Collection:
    """What a look into runs/ found: results to copy (id -> file), and notes on those that cannot be."""

    fresh: dict[str, Path]
    notes: tuple[str, ...]


def find_fresh(
    runs_dir: Path, store_dir: Path, wanted: Mapping[str, RunConfig], *, overwrite: bool
) -> Collection:
    """Looks for finished runs of `wanted` ids that results/runs does not hold (or, overwriting, holds differently)."""
    fresh: dict[str, Path] = {}
    notes: list[str] = []
    unfinished: list[str] = []
    kept: list[str] = []
    for run_id, directories in sorted(run_directories(runs_dir, wanted).items()):
        files = [directory.result for directory in directories]
        whole: list[Path] = []
        for file in files:
            if not file.exists():
                unfinished.append(file.parent.name)
                continue
            try:
                read_result(file, wanted[run_id])
                whole.append(file)
            except (ValueError, OSError) as error:
                notes.append(f"not collected: {error}")
        if not whole:
            continue
        target = store_dir / f"{run_id}.json"
        if target.exists() and not overwrite:
            if any(file.read_bytes() != target.read_bytes() for file in whole):
                kept.append(run_id)
        elif len({file.read_bytes() for file in whole}) > 1:
            names = " and ".join(file.parent.name for file in whole)
            notes.append(f"not collected: run {run_id} has two different results, in {names}; delete one")
        elif not target.exists() or target.read_bytes() != whole[0].read_bytes():
            fresh[run_id] = whole[0]
    if kept:
        notes.append(
            f"{count(len(kept), 'run')} in {runs_dir} differ from what results/runs holds, which was kept "
            f"(overwrite=true replaces it): {', '.join(kept)}"
        )
    if unfinished:
        notes.append(
            f"{count(len(unfinished), 'run')} not finished: {', '.join(unfinished)}; the same command resumes"
        )
    return Collection(fresh, tuple(notes))


def copy_fresh(collection: Collection, store_dir: Path) -> list[Path]:
    """Copies the found results unchanged into results/runs, each whole or not at all."""
    for run_id, source in collection.fresh.items():
        _copy(source, store_dir / f"{run_id}.json")
    return [store_dir / f"{run_id}.json" for run_id in collection.fresh]


def load_store(store_dir: Path, wanted: Mapping[str, RunConfig]) -> tuple[dict[str, Result], list[str]]:
    """Reads every wanted result of results/runs; a torn one becomes a note and stays out."""
    results: dict[str, Result] = {}
    notes: list[str] = []
    for run_id, run in sorted(wanted.items()):
        path = store_dir / f"{run_id}.json"
        if path.exists():
            try:
                results[run_id] = read_result(path, run)
            except (ValueError, OSError) as error:
                # The path is written relative to results/, so that the report's text is the same in any folder.
                notes.append(f"left out: {str(error).replace(str(store_dir), 'runs')}")
    return results, notes + _compare_fingerprints(results)


def read_result(path: Path, run: RunConfig) -> Result:
    """Reads a result and checks that it is the outcome of `run`.

    Raises:
        ValueError: torn, of another run, of smoke scale, or with fields that no run writes.
    """
    result = load_result(path)
    problem = None
    if result.run_id != run.run_id or result.science != science(run):
        problem = f"it says that it is run {result.run_id}, and its science is not that of run {run.run_id}"
    elif result.scale not in SCALES:
        problem = f"it was run at scale {result.scale}, and a report shows {' and '.join(SCALES)} only"
    elif result.status not in (FINISHED, DIVERGED):
        problem = f"its status is {result.status}, neither {FINISHED} nor {DIVERGED}"
    elif not isinstance(result.metrics, dict) or not all(
        _is_number(value) for value in result.metrics.values()
    ):
        problem = "its metrics are not all numbers"
    elif result.status == FINISHED and not result.metrics:
        problem = "it is finished, yet has no metrics"
    elif not isinstance(result.series, list) or not all(isinstance(record, dict) for record in result.series):
        problem = "its series is not a list of records"
    if problem is not None:
        raise ValueError(f"{path}: {problem}; delete it and run its cell again")
    return dataclasses.replace(result, env=[entry for entry in result.env or [] if isinstance(entry, dict)])


def run_directories(runs_dir: Path, wanted: Mapping[str, RunConfig]) -> dict[str, list[RunDirectory]]:
    """The directories of runs by id, more than one where a copy lies beside a run."""
    found: dict[str, list[RunDirectory]] = {}
    for directory in run_dirs(runs_dir):
        if directory.run_id in wanted:
            found.setdefault(directory.run_id, []).append(directory)
    return found


def note_others(runs_dir: Path, wanted: Container[str], *, is_whole: bool = True) -> list[str]:
    """A note on finished runs that the report has no place for; empty where there is none.

    is_whole: whether every exhibit was asked for.
    """
    others = [d.name for d in run_dirs(runs_dir) if d.run_id not in wanted and d.result.exists()]
    if not others:
        return []
    named = others if len(others) <= _MOST_NAMED else [*others[: _MOST_NAMED - 1], "others"]
    whose = "no exhibit" if is_whole else "none of these exhibits"
    runs = f"{count(len(others), 'finished run')} in {runs_dir} of {whose}"
    return [f"{runs}, so not in the report: {', '.join(named)}; what each found stands in its {RESULT}"]


def count(number: int, noun: str) -> str:
    """A number and its noun: 1 run, 2 runs."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _compare_fingerprints(results: Mapping[str, Result]) -> list[str]:
    fingerprints: dict[str, dict[str, list[str]]] = {}
    for run_id, result in results.items():
        data = repr(sorted(result.science["data"].items()))
        fingerprints.setdefault(data, {}).setdefault(result.data_fingerprint, []).append(run_id)
    notes = []
    for groups in fingerprints.values():
        if len(groups) > 1:
            name = results[next(iter(groups.values()))[0]].science["data"]["name"]
            counts = "; ".join(
                f"{str(print_)[:12]}: {', '.join(ids)}" for print_, ids in sorted(groups.items())
            )
            notes.append(f"the runs on {name} saw different data, by fingerprint: {counts}")
    return notes


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def _copy(source: Path, target: Path) -> None:
    def write(temporary: Path) -> None:
        shutil.copyfile(source, temporary)

    write_atomic(target, write)
