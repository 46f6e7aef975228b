"""A sweep: which runs are left, how far they are, and what failed. The launcher that runs them is Hydra's affair."""

from __future__ import annotations

import contextlib
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gnexp.config import RunConfig
from gnexp.experiments.plan import AxisValue, Cell, Expansion, Parent
from gnexp.experiments.result import WEIGHTS, Result, load_result
from gnexp.keys import spell
from gnexp.launch import (
    ERROR_FILE,
    EXIT_DONE,
    EXIT_FAILED,
    find_run_dir,
    finished,
    headline,
    unwritable,
)
from gnexp.signals import EXIT_INTERRUPTED

_POLL_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """A run of a sweep."""

    cell: Cell
    run: RunConfig
    run_dir: Path
    done_in: Path | None  # the result that makes it done
    seconds: float | None  # what that result took
    parent: PlannedRun | None = None  # whose final weights it starts from

    @property
    def name(self) -> str:
        """The run in a line of progress: "bn batch=2 seed=0"."""
        axes = " ".join(str(v) if k == "norm" else f"{k}={v}" for k, v in self.cell.coordinates.items())
        return f"{axes} seed={self.run.seed}".strip()

    @property
    def is_blocked(self) -> bool:
        """Whether the run it starts from has left no weights."""
        return self.parent is not None and not (self.parent.run_dir / WEIGHTS).is_file()

    @property
    def command(self) -> str:
        """What makes this run alone."""
        runs_dir = str(self.run_dir.parent)
        places = [] if runs_dir == "runs" else [f"runs_dir={spell(runs_dir)}"]
        return self.cell.command(self.run.seed, *places)


def make_plan(expansion: Expansion, runs_dir: Path, results_dir: Path) -> list[PlannedRun]:
    """Every run of an expansion, seed-major and each id once, with the result it has in either directory.

    The runs that others start from come first. They are done if their weights are here: a recorded result has none.

    Raises:
        ValueError: a recorded result is torn.
    """
    plan: dict[str, PlannedRun] = {}
    parents: dict[str, PlannedRun] = {}
    for cell, run in expansion.seed_major:
        run_id = run.run_id
        if run_id in plan:
            continue  # two cells can be one run, such as LN and GN with one group
        run_dir = find_run_dir(runs_dir, run)
        recorded = results_dir / "runs" / f"{run_id}.json"
        result = readable_result(run_dir)
        done_in = run_dir / "result.json" if result else None
        if result is None and recorded.exists():
            result, done_in = load_result(recorded), recorded
        parent = None
        if cell.parents and done_in is None:
            parent = _plan_parent(cell.parents[cell.runs.index(run)], runs_dir)
            parent = parents.setdefault(parent.run.run_id, parent)
        plan[run_id] = PlannedRun(
            cell=cell,
            run=run,
            run_dir=run_dir,
            done_in=done_in,
            seconds=result.seconds if result else None,
            parent=parent,
        )
    return [*parents.values(), *(item for run_id, item in plan.items() if run_id not in parents)]


def _plan_parent(parent: Parent, runs_dir: Path) -> PlannedRun:
    run_dir = find_run_dir(runs_dir, parent.run)
    weights = run_dir / WEIGHTS
    unnamed = ("seed=", "scale=", "device=", "threads=")
    named = (word.partition("=") for word in parent.overrides if not word.startswith(unnamed))
    coordinates: dict[str, AxisValue] = {key: value for key, _, value in named}
    overrides = tuple(word for word in parent.overrides if not word.startswith("seed="))
    return PlannedRun(
        cell=Cell(coordinates=coordinates, overrides=overrides, runs=(parent.run,)),
        run=parent.run,
        run_dir=run_dir,
        done_in=weights if weights.is_file() else None,
        seconds=None,
    )


def generations(todo: Sequence[PlannedRun]) -> list[list[PlannedRun]]:
    """What is left, in the order in which it can be made: runs that others start from, then those others."""
    first = [item for item in todo if item.parent is None]
    return [first, [item for item in todo if item.parent is not None]]


def readable_result(run_dir: Path) -> Result | None:
    """A run's result; None where there is none or a torn one, which the run itself will complain about."""
    with contextlib.suppress(ValueError):
        return finished(run_dir)
    return None


def describe(plan: Sequence[PlannedRun]) -> str:
    """What a dry run prints: a line a run and a summary."""
    width = max((len(item.name) for item in plan), default=0)
    lines = [
        f"{'done ' if item.done_in else 'to do'}  {item.name:<{width}}  {item.run.run_id}  "
        + (str(item.done_in) if item.done_in else item.command)
        for item in plan
    ]
    return "\n".join([*lines, _summary(plan)])


def _summary(plan: Sequence[PlannedRun]) -> str:
    done = sum(item.done_in is not None for item in plan)
    return f"{len(plan)} runs: {done} done, {len(plan) - done} to do"


def run_plan(
    plan: Sequence[PlannedRun], runs_dir: Path, launch: Callable[[], dict[str, str]], side_by_side: int
) -> int:
    """Launches what is left, shows how far it is, and lists the failures.

    Args:
        plan: from make_plan.
        runs_dir: where run directories lie.
        launch: blocks until every run has ended; returns run_id -> message for jobs that raised.
        side_by_side: runs at a time, for the time left.

    Returns:
        The exit code.

    Raises:
        ValueError: runs_dir cannot be written.
    """
    todo = [item for item in plan if item.done_in is None]
    print(_summary(plan), flush=True)
    if not todo:
        return EXIT_DONE
    check_writable(runs_dir)
    for item in todo:
        # An old failure must not show up as this sweep's.
        (item.run_dir / ERROR_FILE).unlink(missing_ok=True)
    progress = Progress(plan, side_by_side)
    progress.start()
    try:
        raised = launch()
    except KeyboardInterrupt:
        progress.stop()
        done = sum((item.run_dir / "result.json").exists() for item in todo)
        print(
            f"gnexp: interrupted with {done} of {len(todo)} runs done; the same command goes on from there",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED
    finally:
        progress.stop()
    failed = [item for item in todo if readable_result(item.run_dir) is None]
    if failed:
        print(
            f"\n{len(failed)} of {len(todo)} runs failed; the same command runs them again:", file=sys.stderr
        )
    for item in failed:
        message = _error(item.run_dir) or raised.get(item.run.run_id) or "it left no result and no message"
        if item.is_blocked and item.parent is not None:
            message = f"blocked: {item.parent.name}, which it starts from, {_fate(item.parent)}"
        print(
            f"  {item.name}: {message}\n    log: {item.run_dir / 'log.txt'}\n    {item.command}",
            file=sys.stderr,
        )
    return EXIT_FAILED if failed else EXIT_DONE


def _fate(parent: PlannedRun) -> str:
    result = readable_result(parent.run_dir)
    return result.status if result else "has failed"


def check_writable(directory: Path) -> None:
    """Makes a directory and tries a file in it, so that a sweep does not fail run by run.

    Raises:
        ValueError: it cannot be made or written.
    """
    probe = directory / ".gnexp-write-test"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise ValueError(unwritable(directory, error)) from None


def _error(run_dir: Path) -> str:
    path = run_dir / ERROR_FILE
    return path.read_text().strip() if path.exists() else ""


def _epochs(run_dir: Path) -> int:
    try:
        return (run_dir / "metrics.jsonl").read_bytes().count(b"\n")
    except OSError:
        return 0


class Progress(threading.Thread):
    """Watches the run directories, since a launcher tells nothing before its last run has ended.

    On a terminal a bar counts epochs; elsewhere each run that ends makes a line.
    """

    def __init__(self, plan: Sequence[PlannedRun], side_by_side: int) -> None:
        super().__init__(daemon=True)
        self._plan = plan
        self._todo = [item for item in plan if item.done_in is None]
        self._side_by_side = max(1, side_by_side)
        self._ended: set[str] = set()
        self._seconds: dict[str, list[float]] = {}  # cell -> what its finished runs took
        for item in plan:
            if item.seconds is not None:
                self._took(item, item.seconds)
        self._start_epochs = {item.run.run_id: _epochs(item.run_dir) for item in self._todo}
        self._begin = time.monotonic()
        self._over = threading.Event()
        total = sum(item.run.recipe.epochs for item in self._todo)
        self._bar: tqdm[Any] | None = None
        if sys.stderr.isatty():
            shape = "{l_bar}{bar}| {elapsed}{postfix}"
            self._bar = tqdm(total=total, dynamic_ncols=True, bar_format=shape)

    def run(self) -> None:
        """Polls until stopped."""
        while not self._over.wait(_POLL_SECONDS):
            self._poll()

    def stop(self) -> None:
        """Shows what ended last and takes the bar away."""
        if self._over.is_set():
            return
        self._over.set()
        self.join()
        self._poll()
        if self._bar is not None:
            self._bar.close()

    def _poll(self) -> None:
        for item in self._todo:
            if item.run.run_id in self._ended:
                continue
            if result := readable_result(item.run_dir):
                self._ended.add(item.run.run_id)
                self._took(item, result.seconds)
                self._say(f"{item.name}: {headline(result)} in {result.seconds:.0f} s")
            elif error := _error(item.run_dir):
                self._ended.add(item.run.run_id)
                self._say(f"{item.name}: failed, {error}")
        if self._bar is not None:
            self._bar.n = sum(
                item.run.recipe.epochs if item.run.run_id in self._ended else _epochs(item.run_dir)
                for item in self._todo
            )
            self._bar.set_postfix_str(f"{len(self._ended)}/{len(self._todo)} runs{self._left()}")

    def _say(self, line: str) -> None:
        text = f"[{len(self._ended)}/{len(self._todo)}] {line}{self._left()}"
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()

    def _took(self, item: PlannedRun, seconds: float) -> None:
        self._seconds.setdefault(str(item.cell.coordinates), []).append(seconds)

    def _left(self) -> str:
        """The time left: a run takes what its cell's other seeds took, else its epochs at the pace so far."""
        open_runs = [item for item in self._todo if item.run.run_id not in self._ended]
        if not open_runs:
            return ""
        now = {item.run.run_id: _epochs(item.run_dir) for item in self._todo}
        moved = sum(
            (item.run.recipe.epochs if item.run.run_id in self._ended else now[item.run.run_id])
            - self._start_epochs[item.run.run_id]
            for item in self._todo
        )
        busy = min(self._side_by_side, len(self._todo)) * (time.monotonic() - self._begin)
        pace = busy / moved if moved > 0 else None
        left = 0.0
        for item in open_runs:
            part = 1 - min(1.0, now[item.run.run_id] / item.run.recipe.epochs)
            known = self._seconds.get(str(item.cell.coordinates))
            if known:
                left += statistics.fmean(known) * part
            elif pace is not None:
                left += pace * item.run.recipe.epochs * part
            else:
                return ""
        return f", about {_duration(left / min(self._side_by_side, len(open_runs)))} left"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
