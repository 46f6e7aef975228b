"""Invented results for the report's tests: an experiment of four cells and its control, at two scales."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gnexp.config import RecipeConfig, RunConfig, data_config, norm_config, science
from gnexp.config.experiment import Cell, Expansion
from gnexp.runs.result import Result

TABLE: dict[str, Any] = {
    "id": "table2",
    "order": 2,
    "kind": "table",
    "title": "Error by norm and batch",
    "source": "Table 2",
    "verified": "two",
    "experiments": ["sizes"],
    "control": "sizes_control",
    "rows": "norm",
    "columns": "batch",
    "reference": {"norm": "bn", "batch": 32},
    "paper": {"bn": {32: 23.6, 2: 34.7}, "gn": {32: 24.1, 2: 24.1}},
    "contrasts": [
        {"of": {"norm": "bn", "batch": 2}, "minus": {"norm": "bn", "batch": 32}, "at_least": 5},
        {"of": {"norm": "gn", "batch": 2}, "minus": {"norm": "gn", "batch": 32}, "at_most": 2},
    ],
    "regime": "This regime was selected to show the effect",
    "target_aside": "a regime selected to show the effect",
    "target_note": "a target of the search for this regime, which ran on other images and seeds",
    "eval_stats_cells": [{"norm": "bn", "batch": 32}, {"norm": "bn", "batch": 2}],
}
FIGURE: dict[str, Any] = {
    "id": "figure1",
    "order": 1,
    "kind": "batch_figure",
    "title": "Error against batch",
    "source": "Figure 1",
    "verified": "two",
    "experiments": ["sizes"],
    "control": "sizes_control",
    "lines": "norm",
    "reference": {"norm": "bn", "batch": 32},
    "paper_regime": "ImageNet, ResNet-50",
    "paper": TABLE["paper"],
}
CURVES: dict[str, Any] = {
    "id": "figure5",
    "order": 3,
    "kind": "epoch_figure",
    "title": "Error against epoch",
    "source": "Figure 5",
    "verified": "two",
    "experiments": ["sizes"],
    "panels": "norm",
    "lines": "batch",
    "metrics": ["val/top1_error"],
}
# Seeds 0, 1, 2 of every cell: BN loses about 6 points at batch 2, GN nothing that can be told apart from 0.
ERRORS = {
    ("bn", 32): (17.0, 17.4, 16.8),
    ("bn", 2): (23.1, 23.3, 22.6),
    ("gn", 32): (17.5, 17.2, 17.4),
    ("gn", 2): (17.1, 17.9, 17.2),
}
NORMS = {"bn": norm_config(kind="bn", momentum=0.1), "gn": norm_config(kind="gn")}


def expand(experiment: str, scale: str) -> Expansion:
    """Stands in for compose.expand."""
    recipe = (
        RecipeConfig(epochs=3) if scale == "small" else RecipeConfig(name="imagenet", epochs=100, base_lr=0.1)
    )
    data = data_config() if scale == "small" else data_config(name="imagenet")
    if experiment == "sizes_control":
        data = data_config(name="plain", exposure=0.0)
    cells = []
    for norm, config in NORMS.items():
        for batch in (32, 2):
            first = RunConfig(norm=config, batch=batch, recipe=recipe, data=data, scale=scale)
            runs = tuple(
                dataclasses.replace(first, seed=seed) for seed in range(3 if scale == "small" else 1)
            )
            overrides = (f"experiment={experiment}", f"scale={scale}", f"norm={norm}", f"batch={batch}")
            cells.append(Cell(coordinates={"norm": norm, "batch": batch}, overrides=overrides, runs=runs))
    axes = {"norm": ("bn", "gn"), "batch": (32, 2)}
    return Expansion(
        experiment=experiment, question="What does batch do?", scale=scale, axes=axes, cells=tuple(cells)
    )


def runs_of(experiment: str, scale: str = "small") -> list[RunConfig]:
    """Every run of an experiment."""
    return [run for cell in expand(experiment, scale).cells for run in cell.runs]


def result_of(run: RunConfig, error: float | None = None, **changes: Any) -> Result:
    """An invented result; its error is that of ERRORS unless given."""
    if error is None:
        error = ERRORS["bn" if run.norm.kind == "bn" else "gn", run.batch][run.seed]
    series = [
        {"epoch": epoch, "val/top1_error": error + 40 / epoch, "train/top1_error": error + 30 / epoch}
        for epoch in range(1, run.recipe.epochs + 1)
    ]
    env = {
        "commit": "0123456789abcdef",
        "dirty": False,
        "python": "3.11",
        "torch": "2.9",
        "processor": "invented",
    }
    values: dict[str, Any] = {
        "run_id": run.run_id,
        "label": run.label,
        "scale": run.scale,
        "status": "finished",
        "science": science(run),
        "metrics": {
            "val/top1_error": error,
            "val/top1_error_mean": error,
            "val/top1_error_precise": error - 1,
        },
        "series": series,
        "num_parameters": 10,
        "data_fingerprint": f"data of {run.data.name}",
        "env": [{**env, "cores": 2, "device": "cpu", "started": "2025-01-01T00:00:00"}],
        "seconds": 60.0,
    }
    return Result(**(values | changes))


def write_runs(runs_dir: Path, runs: Iterable[RunConfig], **changes: Any) -> None:
    """Writes finished run directories."""
    for run in runs:
        result_of(run, **changes).save(directory_of(runs_dir, run) / "result.json")


def directory_of(runs_dir: Path, run: RunConfig) -> Path:
    """Where a run's result.json goes."""
    return runs_dir / f"{run.run_id}-{run.label}"
