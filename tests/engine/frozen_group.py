"""What each process of a group runs for test_frozen_processes.py.

A detector on batch norm with frozen stages, started from a classifier whose workers differ. The folder of what it saves
holds the classifier's weights and the images.
"""

import dataclasses
import os
from pathlib import Path
from typing import Any

import torch

from gnexp.config import RunConfig
from gnexp.engine.evaluate import evaluate
from gnexp.engine.initial_weights import load_initial_weights
from gnexp.engine.processes import Processes, joined
from tests.composing import COMPOSER
from tests.engine.group import CPU, build_as, first_steps

STEPS = 2
WEIGHTS = "classifier.pt"


def run_in(folder: Path) -> RunConfig:
    composer = COMPOSER
    words = ["experiment=coco_fpn", "scale=smoke", "norm=bn", "model.freeze_at=2", "data.num_train=16"]
    places = ["data.num_val=6", f"data.root={folder}", f"init={folder / WEIGHTS}"]
    return composer.run(composer.flatten([*words, *places]))


def trained(folder: Path, processes: Processes) -> dict[str, Any]:
    """A checkpoint after some steps, their losses, and what evaluation then sees; every process gets it."""
    run = dataclasses.replace(run_in(folder), processes=processes.world_size)
    state = build_as(run, processes, torch.float64)
    load_initial_weights(state.model, run, CPU, first_worker=processes.rank * run.virtual_workers)
    start = {name: value.clone() for name, value in state.model_state().items()}
    losses = [record.loss for record in first_steps(state, STEPS)]
    found = {"start": start, "state": state.state_dict(), "losses": losses}
    return {**found, "scores": evaluate(state, ("worker0",), epoch=1)}


def main(out: Path) -> None:
    torch.set_num_threads(1)
    size = int(os.environ["WORLD_SIZE"])
    with joined(dataclasses.replace(run_in(out.parent), processes=size), CPU) as processes:
        found = trained(out.parent, processes)
        if processes.is_first:
            torch.save(found, out)
