"""Specs of tiny runs, for the tests of this folder."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from gnexp.config import RecipeConfig, RunConfig, data_config, norm_config, to_dict

SMOKE = RunConfig(
    norm=norm_config(kind="bn", momentum=0.1),
    data=data_config(exposure=1.0, clutter=0, num_train=64, num_val=40),
    recipe=RecipeConfig(name="smoke", epochs=3, base_lr=0.4, report_epochs=2),
    batch=4,
    workers=2,
    scale="smoke",
)


def write_spec(runs: Path, **changes: Any) -> Path:
    """Writes the spec of SMOKE with some fields changed and returns its path."""
    run = dataclasses.replace(SMOKE, **changes)
    directory = runs / f"{run.run_id}-{run.label}"
    directory.mkdir(parents=True)
    path = directory / "spec.json"
    path.write_text(
        json.dumps({"format": 1, "run_id": run.run_id, "label": run.label, "config": to_dict(run)}),
        encoding="utf-8",
    )
    return path
