"""Cells as they were found: an expansion's runs with the results that exist, missing ones included."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gnexp.config import RunConfig
from gnexp.config.experiment import Cell, Expansion
from gnexp.report.exhibits.axes import Key, parse_value, value_of
from gnexp.report.exhibits.statistics import Estimate, difference, estimate
from gnexp.runs.result import DIVERGED, Result


@dataclass(frozen=True)
class Measured:
    """One cell: its runs by seed, with the results that exist."""

    cell: Cell
    experiment: str
    scale: str
    results: dict[int, Result]  # seed -> result

    @property
    def num_planned(self) -> int:
        """Seeds that the experiment asks for."""
        return len(self.cell.runs)

    @property
    def num_diverged(self) -> int:
        """Seeds whose training diverged."""
        return sum(result.status == DIVERGED for result in self.results.values())

    @property
    def missing(self) -> list[RunConfig]:
        """Runs without a result."""
        return [run for run in self.cell.runs if run.seed not in self.results]

    def values(self, metric: str) -> dict[int, float]:
        """Seed -> value, of the seeds that finished."""
        return {
            seed: result.metrics[metric] for seed, result in self.finished.items() if metric in result.metrics
        }

    @property
    def finished(self) -> dict[int, Result]:
        """Seed -> result, diverged ones left out."""
        return {seed: result for seed, result in self.results.items() if result.status != DIVERGED}

    def estimate(self, metric: str) -> Estimate | None:
        """Mean and interval over the seeds that finished."""
        return estimate(list(self.values(metric).values()))

    @property
    def sweep(self) -> tuple[str, ...]:
        """The experiment whose sweep runs it, and what that sweep needs beside the scale."""
        return (self.experiment, *self.cell.added_by)

    def commands(self, places: Sequence[str]) -> list[str]:
        """One command per missing seed."""
        return [self.cell.command(run.seed, *_root(self.cell, self.scale), *places) for run in self.missing]


@dataclass(frozen=True)
class Measurements:
    """All cells of an exhibit at one scale, or of its control."""

    scale: str
    experiments: tuple[str, ...]
    question: str
    cells: dict[Key, Measured]
    places: tuple[str, ...] = ()  # such as runs_dir=demo/runs, where it is not the usual place

    @property
    def has_any(self) -> bool:
        """Whether any run has a result."""
        return any(cell.results for cell in self.cells.values())

    @property
    def results(self) -> list[Result]:
        """Every result that exists."""
        return [result for cell in self.cells.values() for result in cell.results.values()]

    @property
    def num_planned(self) -> int:
        """Runs that the experiments ask for."""
        return sum(cell.num_planned for cell in self.cells.values())

    @property
    def num_missing(self) -> int:
        """Runs without a result."""
        return sum(len(cell.missing) for cell in self.cells.values())

    @property
    def missing_text(self) -> str:
        """How much of the scale is missing, in words; empty where nothing is."""
        if not self.num_missing:
            return ""
        return f"{self.num_missing} of {self.num_planned} runs are missing at {self.scale} scale"

    @property
    def runs(self) -> list[RunConfig]:
        """A run of each cell, to describe the regime by."""
        return [cell.cell.runs[0] for cell in self.cells.values()]

    def difference(self, of: Key, minus: Key, metric: str) -> Estimate | None:
        """Welch's difference between two cells; None where either is missing."""
        return difference(self.values(of, metric), self.values(minus, metric))

    def values(self, key: Key, metric: str) -> list[float]:
        """A cell's values in the order of its seeds; empty where it is missing."""
        return list(self.cells[key].values(metric).values()) if key in self.cells else []

    def sweep_commands(self, cells: Iterable[Measured] | None = None) -> list[str]:
        """The command of the whole sweep, one per experiment, and one more for each norm that a package adds to it.

        Args:
            cells: those that are to be run; None = all.
        """
        own = [(name,) for name in self.experiments] if cells is None else []
        wanted = self.cells.values() if cells is None else cells
        root = next((_root(measured.cell, self.scale) for measured in self.cells.values()), [])
        return [
            shlex.join(
                ["gnexp", "sweep", f"experiment={name}", f"scale={self.scale}", *words, *root, *self.places]
            )
            for name, *words in dict.fromkeys([*own, *(cell.sweep for cell in wanted)])
        ]

    def train_commands(self) -> list[str]:
        """One command per missing run."""
        runs_dir = [place for place in self.places if place.startswith("runs_dir=")]  # train records nothing
        return [command for cell in self.cells.values() for command in cell.commands(runs_dir)]

    def seeds_text(self) -> str:
        """The number of seeds per measured cell in words: 3 to 5 seeds; empty where there is none."""
        return seeds_text([len(cell.finished) for cell in self.cells.values() if cell.finished])


@dataclass(frozen=True)
class Findings:
    """Everything measured for one exhibit."""

    ours: Measurements  # at the exhibit's own scale, which is small or demo
    paper: Measurements
    control: Measurements | None


def _root(cell: Cell, scale: str) -> list[str]:
    """Where the reader's copy of the paper's data is said to be; what comes with gnexp needs no place."""
    return [f"data.root=/data/{cell.runs[0].data.name}"] if scale == "paper" else []


def seeds_text(counts: Iterable[int]) -> str:
    """Counts of seeds in words: 1 seed, 3 to 5 seeds."""
    numbers = sorted(set(counts))
    if not numbers:
        return ""
    if len(numbers) == 1:
        return f"{numbers[0]} seed{'' if numbers[0] == 1 else 's'}"
    return f"{numbers[0]} to {numbers[-1]} seeds"


def within_runs(cell: Measured, of: str, minus: str) -> list[float]:
    """One metric minus another, run by run, of the runs that have both: what moves a run moves both of its numbers."""
    a, b = cell.values(of), cell.values(minus)
    return [a[seed] - b[seed] for seed in a if seed in b]


def measure(
    expansions: Iterable[Expansion],
    axes: Sequence[str],
    results: Mapping[str, Result],
    places: tuple[str, ...] = (),
    shows: Callable[[Key, str], bool] = lambda key, scale: True,
) -> Measurements:
    """Looks up every run of the expansions, which are of one scale, by its id.

    Args:
        expansions: at least one.
        axes: that tell cells apart.
        results: by run_id.
        places: such as runs_dir=demo/runs, where it is not the usual place.
        shows: whether a cell is wanted, by its key and scale.
    """
    found = tuple(expansions)
    cells: dict[Key, Measured] = {}
    for expansion in found:
        for cell in expansion.cells:
            key = cell_key(cell, axes)
            if not shows(key, expansion.scale):
                continue
            cells.setdefault(
                key,
                Measured(
                    cell,
                    expansion.experiment,
                    expansion.scale,
                    {run.seed: results[run.run_id] for run in cell.runs if run.run_id in results},
                ),
            )
    return Measurements(
        found[0].scale,
        tuple(expansion.experiment for expansion in found),
        found[0].question,
        cells,
        places,
    )


def cell_key(cell: Cell, axes: Sequence[str]) -> Key:
    """Names a cell by its grid, or, where the grid lacks an axis, by its runs."""
    found, run = cell.coordinates, cell.runs[0]
    return tuple(parse_value(axis, found[axis]) if axis in found else value_of(run, axis) for axis in axes)
