"""What an experiment is: the schema of its YAML, which OmegaConf fills (hence not frozen), and the cells it yields."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gnexp.config import RunConfig
from gnexp.config.fields import require

AxisValue = str | int | float


@dataclass(kw_only=True)
class ExtraSeeds:
    """More seeds for the cells where every named axis takes one of the listed values."""

    where: dict[str, list[Any]] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)


@dataclass(kw_only=True)
class ScaleBlock:
    """What an experiment chooses at one scale, over its fixed choices and grid."""

    overrides: list[str] = field(default_factory=list)  # Hydra overrides, e.g. "recipe.epochs=4"
    grid: dict[str, list[Any]] = field(default_factory=dict)  # replaces the axes it names
    seeds: list[int] = field(default_factory=lambda: [0])
    extra_seeds: list[ExtraSeeds] = field(default_factory=list)
    left_out: list[dict[str, Any]] = field(default_factory=list)  # beside the experiment's own


@dataclass(kw_only=True)
class ExperimentConfig:
    """A question: fixed choices, a grid, and a block per scale. One YAML file under conf/experiment/."""

    name: str = ""
    question: str = ""
    overrides: list[str] = field(default_factory=list)  # at every scale
    grid: dict[str, list[Any]] = field(default_factory=dict)  # axis (a Hydra key) -> values, outermost first
    # values by axis; a cell that has all of an entry's is no part of the grid
    left_out: list[dict[str, Any]] = field(default_factory=list)
    scales: dict[str, ScaleBlock] = field(default_factory=dict)  # paper, small, demo, smoke


@dataclass(frozen=True, kw_only=True)
class Parent:
    """The run whose final weights another starts from (init=cell)."""

    run: RunConfig
    overrides: tuple[str, ...]  # what `gnexp train` needs to make it

    def command(self, *places: str) -> str:
        """What a person types to make it; it names its scale, like every command that is printed."""
        has_scale = any(override.startswith("scale=") for override in self.overrides)
        scale = () if has_scale else (f"scale={self.run.scale}",)
        return shlex.join(("gnexp", "train", *scale, *self.overrides, *places))


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One point of a grid."""

    coordinates: dict[str, AxisValue]  # axis -> value as the grid spells it, e.g. {"norm": "bn", "batch": 2}
    overrides: tuple[str, ...]  # what `gnexp train` needs to make this cell, the seed left out
    runs: tuple[RunConfig, ...]  # one per seed, in the order of the seeds
    parents: tuple[Parent, ...] = ()  # one per run, where runs start from another cell's
    added_by: tuple[str, ...] = ()  # what a sweep of its experiment needs to have it, where the grid does not

    def command(self, seed: int, *places: str) -> str:
        """What a person types to make one of its runs; places are such as runs_dir=demo/runs."""
        return shlex.join(("gnexp", "train", *self.overrides, f"seed={seed}", *places))


@dataclass(frozen=True, kw_only=True)
class Expansion:
    """Every run of an experiment at one scale."""

    experiment: str
    question: str
    scale: str
    axes: dict[str, tuple[AxisValue, ...]]
    cells: tuple[Cell, ...]
    # a person's override of hardware, and a kind that has no such field: left out of that kind's cells
    dropped: tuple[tuple[str, str], ...] = ()

    @property
    def seed_major(self) -> tuple[tuple[Cell, RunConfig], ...]:
        """Every (cell, run), all cells at the first seed first, so that a full table appears early.

        Of one seed the cells with the most steps come first: started last, one of them alone would keep the other
        cores waiting for it.
        """
        depth = max((len(cell.runs) for cell in self.cells), default=0)
        cells = sorted(self.cells, key=lambda cell: cell.runs[0].total_batch if cell.runs else 0)
        return tuple((cell, cell.runs[i]) for i in range(depth) for cell in cells if i < len(cell.runs))


def grid_points(
    grid: Mapping[str, list[Any]], left_out: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The product of a grid's axes, outermost first, without the points that have all values of some entry."""
    for entry in left_out:
        require(bool(entry), "left_out has an entry without an axis, which would leave out every cell")
        _check_axes("left_out", entry, grid)
    is_empty = True
    for point in itertools.product(*grid.values()):
        coordinates = dict(zip(grid, point, strict=True))
        if not any(all(coordinates[axis] == value for axis, value in entry.items()) for entry in left_out):
            is_empty = False
            yield coordinates
    require(not is_empty, f"every cell of the grid {', '.join(grid)} is left out (left_out)")


def _check_axes(key: str, named: Iterable[str], grid: Mapping[str, Any]) -> None:
    unknown = [axis for axis in named if axis not in grid]
    require(
        not unknown,
        f"{key} names {''.join(unknown[:1])}, which is no axis of the grid {', '.join(grid)}",
    )


def more_seeds(block: ScaleBlock, coordinates: Mapping[str, Any], grid: Mapping[str, Any]) -> list[int]:
    """The seeds that a scale block's extra_seeds add to a cell.

    Raises:
        ValueError: an axis that the grid does not have.
    """
    found: list[int] = []
    for extra in block.extra_seeds:
        _check_axes("extra_seeds", extra.where, grid)
        if all(coordinates[axis] in values for axis, values in extra.where.items()):
            found += extra.seeds
    return found
