"""Invented experiments over any axes for the report's tests: a grid, what makes a run of it, and its results."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gnexp.config import RecipeConfig, RunConfig
from gnexp.config.experiment import AxisValue, Cell, Expansion
from gnexp.report.exhibits.cells import Findings, measure
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.runs.result import Result

Make = Callable[[Mapping[str, Any]], RunConfig]


def expand_grid(
    experiment: str, scale: str, axes: Mapping[str, Sequence[AxisValue]], make: Make, num_seeds: int = 3
) -> Expansion:
    """Stands in for compose.expand."""
    cells = []
    # Of the science the recipe tells the two scales apart.
    recipe = RecipeConfig(epochs=3) if scale == "small" else RecipeConfig(name="imagenet", epochs=100)
    for point in itertools.product(*axes.values()):
        coordinates = dict(zip(axes, point, strict=True))
        first = dataclasses.replace(make(coordinates), scale=scale, recipe=recipe)
        cells.append(
            Cell(
                coordinates=coordinates,
                overrides=(*(f"{axis}={value}" for axis, value in coordinates.items()), f"scale={scale}"),
                runs=tuple(dataclasses.replace(first, seed=seed) for seed in range(num_seeds)),
            )
        )
    return Expansion(
        experiment=experiment,
        question="Why?",
        scale=scale,
        axes={axis: tuple(values) for axis, values in axes.items()},
        cells=tuple(cells),
    )


def runs_of(expansion: Expansion) -> list[RunConfig]:
    """Every run of an expansion."""
    return [run for cell in expansion.cells for run in cell.runs]


def find(exhibit: Exhibit, small: Expansion, paper: Expansion, results: Mapping[str, Result]) -> Findings:
    """What was measured for an exhibit that has no control."""
    return Findings(
        ours=measure([small], exhibit.axes, results),
        paper=measure([paper], exhibit.axes, results),
        control=None,
    )
