"""Invented detection for the report's tests: the experiments of Tables 4 to 7 and results that hold APs."""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from gnexp.config import RecipeConfig, RunConfig, data_config, norm_config
from gnexp.config.experiment import AxisValue, Cell, Expansion
from gnexp.config.keys import conf_dir, known_keys
from tests.report.report_runs import directory_of, result_of

# Any axis of text stands in where this tree's detector has no such field yet.
BOX = "model.box_norm" if "model.box_norm" in known_keys() else "model.init_mode"
EXPERIMENTS = ("coco_c4", "coco_fpn_head", "coco_fpn", "coco_scratch")
_MODELS = {
    "small": ("thin_mask_rcnn", "thin_mask_rcnn_deep"),
    "paper": ("mask_rcnn_r50_fpn", "mask_rcnn_r101_fpn"),
}
_RECIPES = {"small": ("small_coco", "small_coco_long"), "paper": ("coco_1x", "coco_long")}
_FOLDERS = (conf_dir() / "exhibit", Path(__file__).parent / "exhibits_to_come")


def load(exhibit: str) -> dict[str, Any]:
    """An exhibit as its file has it."""
    path = next(folder / f"{exhibit}.yaml" for folder in _FOLDERS if (folder / f"{exhibit}.yaml").exists())
    values: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8").replace("model.box_norm", BOX))
    return values


def points(experiment: str, scale: str) -> list[dict[str, AxisValue]]:
    """The cells, among them some that the paper lacks: BN that is not frozen, and BN in the box head."""
    models, recipes = _MODELS[scale], _RECIPES[scale]
    match experiment:
        case "coco_c4":
            return [{"norm": norm} for norm in ("frozen_bn", "gn", "bn")]
        case "coco_fpn_head":
            pairs = (("frozen_bn", "none"), ("frozen_bn", "gn"), ("frozen_bn", "bn"), ("gn", "gn"))
            return [{"norm": norm, BOX: box} for norm, box in pairs]
        case "coco_fpn":
            kinds = (("frozen_bn", recipes[0]), ("gn", recipes[0]), ("gn", recipes[1]))
            return [{"model": m, "norm": norm, "recipe": r} for m in models for norm, r in kinds]
    return [{"model": model, "norm": norm} for model in models for norm in ("gn", "bn")]


def expand(experiment: str, scale: str) -> Expansion:
    """Stands in for compose.expand: 3 seeds at small scale, 1 at the paper's."""
    cells = []
    for where in points(experiment, scale):
        norm = str(where["norm"])
        base = RunConfig()
        run = dataclasses.replace(
            base,
            norm=norm_config(kind=norm, momentum=0.1 if norm == "bn" else None),
            # Names and a detector's own fields are no science of a classifier: other fields tell the runs apart.
            model=dataclasses.replace(
                base.model,
                name=str(where.get("model", _MODELS[scale][0])),
                blocks=(3, 3, 3, 3) if where.get("model") == _MODELS[scale][1] else (1, 1, 1, 1),
                classifier_std=0.01 + ["none", "gn", "bn"].index(str(where.get(BOX, "none"))),
            ),
            recipe=RecipeConfig(
                name=str(where.get("recipe", _RECIPES[scale][0])),
                epochs=20 if where.get("recipe") == _RECIPES[scale][1] else 10,
                base_lr=0.1 * (1 + EXPERIMENTS.index(experiment)),  # so that no two experiments share a run
            ),
            data=data_config(name="fashion_coco" if scale == "small" else "coco"),
            batch=2,
            scale=scale,
        )
        runs = tuple(dataclasses.replace(run, seed=seed) for seed in range(3 if scale == "small" else 1))
        words = (f"experiment={experiment}", f"scale={scale}", *(f"{k}={v}" for k, v in where.items()))
        cells.append(Cell(coordinates=where, overrides=words, runs=runs))
    axes = {axis: tuple(dict.fromkeys(c.coordinates[axis] for c in cells)) for axis in cells[0].coordinates}
    question = f"What does {experiment} ask?"
    return Expansion(experiment=experiment, question=question, scale=scale, axes=axes, cells=tuple(cells))


def runs_of(experiment: str, scale: str = "small", **where: AxisValue) -> list[RunConfig]:
    """The runs of the cells that have some values."""
    cells = expand(experiment, scale).cells
    return [run for cell in cells if where.items() <= cell.coordinates.items() for run in cell.runs]


def write_aps(runs_dir: Path, runs: Iterable[RunConfig], boxes: Mapping[int, float], mask: float) -> None:
    """Finished runs with a box AP by seed, a mask AP and what COCO's evaluation gives beside them."""
    for run in runs:
        aps = {"box": boxes[run.seed], "mask": mask}
        offsets = {"": 0, "50": 20, "75": 2, "_small": -10, "_medium": 1, "_large": 8}
        metrics = {
            f"val/{of}_ap{kind}{stats}": ap + offset + (stats == "_precise")
            for of, ap in aps.items()
            for kind, offset in offsets.items()
            for stats in ("", "_mean", "_precise")
        }
        series = [{"epoch": epoch, **metrics} for epoch in range(1, 3)]
        result = result_of(run, 0.0, metrics=metrics, series=series)
        result.save(directory_of(runs_dir, run) / "result.json")
