"""What the cells of a plan cost: `plan CELLS`, a JSON list of configs in; JSON out on one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gnexp.config import RunConfig, from_dict, to_dict
from gnexp.config.fields import value_of
from gnexp.data.sizes import num_train_images
from gnexp.engine.cost import Cost, count_cost
from gnexp.engine.device import choose_device, describe
from gnexp.system.exit_codes import EXIT_DONE


def main(words: list[str]) -> int:
    """Prints {"machine": ..., "cells": [{"parameters", "macs", "num_train"} or {"error"}, ...]}."""
    runs = [from_dict(values) for values in json.loads(Path(words[0]).read_text(encoding="utf-8"))]
    counted: dict[str, Cost] = {}
    found = [_cell(run, counted) for run in runs]
    machine = describe(RunConfig(), choose_device("auto"), {})
    print(json.dumps({"machine": {key: machine[key] for key in ("device", "processor")}, "cells": found}))
    return EXIT_DONE


def _cell(run: RunConfig, counted: dict[str, Cost]) -> dict[str, Any]:
    config = to_dict(run)
    shape = [value_of(run.data, name) for name in ("image_size", "channels", "num_classes", "clip_length")]
    network = json.dumps([config["task"], config["model"], config["norm"], shape])
    try:
        if network not in counted:
            counted[network] = count_cost(run)
        cost = counted[network]
        return {
            "parameters": cost.parameters,
            "macs": cost.macs,
            "num_train": num_train_images(run.data),
        }
    except ValueError as error:
        return {"error": str(error)}
