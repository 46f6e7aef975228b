"""What a sweep has to run: every run once, where it stands, and what it starts from."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gnexp.config import RunConfig
from gnexp.config.experiment import AxisValue, Cell, Expansion, Parent
from gnexp.config.spelling import spell
from gnexp.config.words import counted
from gnexp.runs.directory import RunDirectory, find_run_dir
from gnexp.runs.result import DIVERGED, Result, finished, load_result

DONE, PENDING, BLOCKED = "done", "to do", "blocked"


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """A run of a sweep."""

    cell: Cell
    run: RunConfig
    run_dir: RunDirectory
    done_in: Path | None  # the result that makes it done
    seconds: float | None  # what that result took
    parent: PlannedRun | None = None  # whose final weights it starts from
    experiment: str = ""  # the first that has it, where there are several

    @property
    def name(self) -> str:
        """The run in a line of progress: "bn batch=2 seed=0", after its experiment's name where there are several."""
        head = f"{self.experiment}: " if self.experiment else ""
        return f"{head}{self.title}"

    @property
    def title(self) -> str:
        """The run beside others of its experiment."""
        axes = " ".join(str(v) if k == "norm" else f"{k}={v}" for k, v in self.cell.coordinates.items())
        return f"{axes} seed={self.run.seed}".strip()

    @property
    def is_blocked(self) -> bool:
        """Whether the run it starts from has left no weights."""
        return self.parent is not None and not self.parent.run_dir.weights.is_file()

    @property
    def state(self) -> str:
        """Where it stands before a sweep; blocked where the run it starts from has ended without weights."""
        if self.done_in is not None:
            return DONE
        return BLOCKED if self.is_blocked and self.parent and self.parent.done_in else PENDING

    @property
    def command(self) -> str:
        """What makes this run alone."""
        runs_dir = str(self.run_dir.path.parent)
        places = [] if runs_dir == "runs" else [f"runs_dir={spell(runs_dir)}"]
        return self.cell.command(self.run.seed, *places)


def make_plan(expansions: Sequence[Expansion], runs_dir: Path, results_dir: Path) -> list[PlannedRun]:
    """Every run of some expansions, one after the other, seed-major and each id once, with the result it has.

    The runs that others start from come first. They are done if their weights are here (a recorded result has none), or
    if they have diverged, so that they never will have any.

    Raises:
        ValueError: a recorded result is torn.
    """
    plan: dict[str, PlannedRun] = {}
    parents: dict[str, PlannedRun] = {}
    for expansion, cell, run in ((e, *pair) for e in expansions for pair in e.seed_major):
        run_id = run.run_id
        if run_id in plan:
            continue  # two cells can be one run, such as LN and GN with one group
        run_dir = find_run_dir(runs_dir, run)
        result, done_in = _find_result(run, run_dir, results_dir)
        parent = None
        if cell.parents and done_in is None:
            parent = _plan_parent(cell.parents[cell.runs.index(run)], runs_dir, results_dir)
            parent = parents.setdefault(parent.run.run_id, parent)
        plan[run_id] = PlannedRun(
            cell=cell,
            run=run,
            run_dir=run_dir,
            done_in=done_in,
            seconds=result.seconds if result else None,
            parent=parent,
            experiment=expansion.experiment if len(expansions) > 1 else "",
        )
    for run_id in parents.keys() & plan.keys():  # run as its own experiment runs it, with the data's place
        own = plan.pop(run_id)
        parents[run_id] = dataclasses.replace(
            parents[run_id], cell=own.cell, run=own.run, experiment=own.experiment
        )
    return [*parents.values(), *plan.values()]


def _find_result(
    run: RunConfig, run_dir: RunDirectory, results_dir: Path
) -> tuple[Result | None, Path | None]:
    """A run's result, from its directory or as it was recorded, and where it is."""
    if result := readable_result(run_dir):
        return result, run_dir.result
    recorded = results_dir / "runs" / f"{run.run_id}.json"
    return (load_result(recorded), recorded) if recorded.exists() else (None, None)


def _plan_parent(parent: Parent, runs_dir: Path, results_dir: Path) -> PlannedRun:
    run_dir = find_run_dir(runs_dir, parent.run)
    result, done_in = _find_result(parent.run, run_dir, results_dir)
    if run_dir.weights.is_file():
        done_in = run_dir.weights
    elif result is None or result.status != DIVERGED:
        done_in = None
    unnamed = ("seed=", "scale=", "device=", "threads=")
    named = (word.partition("=") for word in parent.overrides if not word.startswith(unnamed))
    coordinates: dict[str, AxisValue] = {key: value for key, _, value in named}
    overrides = tuple(word for word in parent.overrides if not word.startswith("seed="))
    return PlannedRun(
        cell=Cell(coordinates=coordinates, overrides=overrides, runs=(parent.run,)),
        run=parent.run,
        run_dir=run_dir,
        done_in=done_in,
        seconds=None,
    )


def generations(todo: Sequence[PlannedRun]) -> list[list[PlannedRun]]:
    """What is left, in the order in which it can be run: runs that others start from, then those others."""
    first = [item for item in todo if item.parent is None]
    return [first, [item for item in todo if item.parent is not None]]


def readable_result(run_dir: RunDirectory) -> Result | None:
    """A run's result; None where there is none or a torn one, which the run itself will complain about."""
    with contextlib.suppress(ValueError):
        return finished(run_dir)
    return None


def describe(plan: Sequence[PlannedRun], expansions: Sequence[Expansion]) -> str:
    """What a dry run prints: a line a run and a summary; of several experiments each one's under its own summary."""
    if len(expansions) < 2:
        return "\n".join([*_lines(plan), summary(plan)])
    by_id = {item.run.run_id: item for item in plan}
    left = dict(by_id)
    blocks = []
    for expansion in expansions:
        own = [by_id[run_id] for run_id in dict.fromkeys(run.run_id for _, run in expansion.seed_major)]
        new = [left.pop(item.run.run_id) for item in own if item.run.run_id in left]
        before = f", {len(own) - len(new)} of them listed before" if len(new) < len(own) else ""
        blocks.append("\n".join([f"{expansion.experiment}: {summary(own)}{before}", *_lines(new)]))
    if left:
        others = list(left.values())
        head = f"what some of them start from: {summary(others)}"
        blocks.insert(0, "\n".join([head, *_lines(others)]))
    return "\n\n".join([*blocks, summary(plan)])


def _lines(items: Sequence[PlannedRun]) -> list[str]:
    """A line a run."""
    width = max((len(item.title) for item in items), default=0)
    wide = max((len(item.state) for item in items), default=0)
    return [
        f"{item.state:<{max(wide, len(PENDING))}}  {item.title:<{width}}  {item.run.run_id}  {_where(item)}"
        for item in items
    ]


def _where(item: PlannedRun) -> str:
    """Where a run's result is, the command that makes it, or why nothing will."""
    if item.state == BLOCKED and item.parent is not None:
        return f"starts from {item.parent.name}, which diverged"
    return str(item.done_in or item.command)


def summary(plan: Sequence[PlannedRun]) -> str:
    """How many runs stand where."""
    num = Counter(item.state for item in plan)
    blocked = f", {num[BLOCKED]} blocked" if num[BLOCKED] else ""
    return f"{counted(len(plan), 'run')}: {num[DONE]} done, {num[PENDING]} to do{blocked}"
