"""What an experiment asks at a scale: its file, its grid with a person's values in it, its seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gnexp.compose.conf_files import ConfFiles
from gnexp.compose.overrides import is_hydra, parse, respell, values_of
from gnexp.config.experiment import ExperimentConfig, ScaleBlock, grid_points, more_seeds
from gnexp.config.keys import COMMAND_KEYS, check_choice, merge_overrides
from gnexp.config.spelling import spell

_NOT_THE_RUNS = {"experiment", "scale", *COMMAND_KEYS}  # so no part of a cell's command


class Experiments:
    """The experiments of conf/ and of the user's directories."""

    def __init__(self, files: ConfFiles) -> None:
        self._files = files
        self._read: dict[tuple[str, str], ExperimentConfig] = {}

    def find(self, name: str, scale: str) -> tuple[ExperimentConfig, ScaleBlock]:
        """An experiment and its block at a scale; at "null" a question without fixed choices or grid.

        Raises:
            ValueError: the experiment does not exist or has no block for the scale.
        """
        check_choice("scale", scale, self._files.options("scale"))
        if name == "null":
            return ExperimentConfig(name="null"), ScaleBlock()
        check_choice("experiment", name, self._files.options("experiment"))
        experiment = self._experiment(name, scale)
        if scale not in experiment.scales:
            known = ", ".join(experiment.scales)
            raise ValueError(f"experiment {name} has no block for scale={scale}, only for {known}")
        return experiment, experiment.scales[scale]

    def names(self, scale: str) -> list[str]:
        """Every experiment that has a block for a scale.

        Raises:
            ValueError: there is no such scale.
        """
        check_choice("scale", scale, self._files.options("scale"))
        names = self._files.options("experiment")
        return [name for name in names if scale in self._experiment(name, scale).scales]

    def _experiment(self, name: str, scale: str) -> ExperimentConfig:
        if (name, scale) not in self._read:
            self._read[name, scale] = self._files.experiment(name, scale)
        return self._read[name, scale]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An experiment at a scale, with what a person has set of it."""

    named: list[str]  # what a cell's command says before all else: experiment and scale
    fixed: list[str]
    places: list[str]  # where init=RUN_ID is looked up
    grid: dict[str, list[Any]]
    left_out: list[dict[str, Any]]
    block: ScaleBlock
    seeds: list[int] | None  # the person's

    def cells(self) -> Iterator[tuple[dict[str, Any], list[str]]]:
        """Coordinates and command of each cell."""
        for coordinates in grid_points(self.grid, self.left_out):
            words = [f"{key}={spell(value)}" for key, value in coordinates.items()]
            yield coordinates, merge_overrides(self.named, self.fixed, words)

    def seeds_of(self, coordinates: dict[str, Any]) -> list[int]:
        """A cell's seeds, each once."""
        own = self.seeds
        if own is None:
            own = self.block.seeds + more_seeds(self.block, coordinates, self.grid)
        return list(dict.fromkeys(own))


def ask(
    name: str,
    question: ExperimentConfig,
    block: ScaleBlock,
    scale: str,
    overrides: Sequence[str],
    *,
    seeds: int | None,
) -> Asked:
    """Puts a person's overrides into the grid of the experiment of a name (see `Composer.expand`).

    Raises:
        ValueError: seeds that are none.
    """
    grid: dict[str, list[Any]] = {**question.grid, **block.grid}
    own_seeds: list[int] | None = None
    fixed, places = [], []
    for text, override in zip(respell(overrides), parse(overrides), strict=True):
        key = override.key_or_group
        if key == "seed":
            own_seeds = values_of(override)
        elif key in grid or (override.is_sweep_override() and not is_hydra(override)):
            grid[key] = values_of(override)
        elif key == "runs_dir":
            places = [text]
        elif key not in _NOT_THE_RUNS and not is_hydra(override):
            fixed.append(text)
    if seeds is not None:
        if own_seeds is not None:
            raise ValueError("give seed or seeds, not both")
        if seeds < 1:
            raise ValueError(f"seeds must be at least 1, got {seeds}")
        own_seeds = list(range(seeds))
    named = [f"experiment={name}"] if question.overrides or block.overrides else []
    named.append(f"scale={scale}")
    left_out = [*question.left_out, *block.left_out]
    return Asked(
        named=named, fixed=fixed, places=places, grid=grid, left_out=left_out, block=block, seeds=own_seeds
    )
