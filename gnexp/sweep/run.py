"""Runs what a sweep has left, and says what failed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import NamedTuple

from gnexp.runs.directory import unwritable
from gnexp.runs.result import DIVERGED
from gnexp.runs.status import read_error
from gnexp.sweep.plan import PlannedRun, readable_result, summary
from gnexp.sweep.progress import Progress
from gnexp.system.exit_codes import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED


class Launched(NamedTuple):
    """What a launcher has to say once every run has ended."""

    raised: dict[str, str]  # run_id -> message of jobs that raised
    late: set[str]  # run_ids of those that the budget was too short for


def run_plan(
    plan: Sequence[PlannedRun], runs_dir: Path, launch: Callable[[], Launched], side_by_side: int
) -> int:
    """Launches what is left, shows how far it is, and lists the failures.

    Args:
        plan: from make_plan.
        runs_dir: where run directories lie.
        launch: blocks until every run has ended.
        side_by_side: runs at a time, for the time left.

    Returns:
        The exit code.

    Raises:
        ValueError: runs_dir cannot be written.
    """
    todo = [item for item in plan if item.done_in is None]
    print(summary(plan), flush=True)
    if not todo:
        return EXIT_DONE
    check_writable(runs_dir)
    for item in todo:
        # An old failure must not show up as this sweep's.
        item.run_dir.error.unlink(missing_ok=True)
    progress = Progress(plan, side_by_side)
    progress.start()
    try:
        raised, late = launch()
    except KeyboardInterrupt:
        progress.stop()
        done = sum(item.run_dir.result.exists() for item in todo)
        print(
            f"gnexp: interrupted with {done} of {len(todo)} runs done; the same command goes on from there",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED
    finally:
        progress.stop()
    without = [item for item in todo if readable_result(item.run_dir) is None]
    if left := [item for item in without if item.run.run_id in late or _is_behind(item, late)]:
        print(
            f"\n{len(left)} of {len(todo)} runs were not started, since the budget ends before they would; the same "
            "command runs them:",
            file=sys.stderr,
        )
        print("\n".join(f"  {item.name}" for item in left), file=sys.stderr)
    without = [item for item in without if item not in left]
    blocked = [item for item in without if item.is_blocked and item.parent and _fate(item.parent) == DIVERGED]
    failed = [item for item in without if item not in blocked]
    if failed:
        print(
            f"\n{len(failed)} of {len(todo)} runs failed; the same command runs them again:", file=sys.stderr
        )
    for item in failed:
        message = (
            read_error(item.run_dir) or raised.get(item.run.run_id) or "it left no result and no message"
        )
        if item.is_blocked and item.parent is not None:
            message = f"blocked: {item.parent.name}, which it starts from, {_fate(item.parent)}"
        print(
            f"  {item.name}: {message}\n    log: {item.run_dir.log}\n    {item.command}",
            file=sys.stderr,
        )
    if blocked:
        print(
            f"\n{len(blocked)} of {len(todo)} runs cannot start, since what they start from diverged:",
            file=sys.stderr,
        )
    for item in blocked:
        parent = item.parent.name if item.parent else ""
        print(f"  {item.name}: blocked: {parent}, which it starts from, {DIVERGED}", file=sys.stderr)
    return EXIT_FAILED if without else EXIT_DONE


def _is_behind(item: PlannedRun, late: Set[str]) -> bool:
    """Whether a run starts from one that was not started."""
    return item.is_blocked and item.parent is not None and item.parent.run.run_id in late


def _fate(parent: PlannedRun) -> str:
    """What became of a run that has left no weights."""
    if parent.done_in is not None:
        return DIVERGED  # before this sweep
    result = readable_result(parent.run_dir)
    return result.status if result else "has failed"


def check_writable(directory: Path) -> None:
    """Creates a directory and tries a file in it, so that a sweep does not fail run by run.

    Raises:
        ValueError: it cannot be created or written.
    """
    probe = directory / ".gnexp-write-test"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe.write_text("", encoding="utf-8")
        probe.unlink()
    except OSError as error:
        raise ValueError(unwritable(directory, error)) from None
