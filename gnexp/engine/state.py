"""What training changes and what it needs beside it: built from a config, saved and restored."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from gnexp.config import RunConfig
from gnexp.data import build_dataset
from gnexp.data.dataset import Dataset
from gnexp.data.loader import num_steps
from gnexp.engine.device import memory_format
from gnexp.engine.optimizer import build_optimizer
from gnexp.tasks import build_task
from gnexp.tasks.task import Task


@dataclass(kw_only=True)
class State:
    """All that training changes, and what it needs beside it."""

    run: RunConfig
    task: Task
    dataset: Dataset
    model: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int = 0  # finished epochs

    def state_dict(self) -> dict[str, object]:
        """What a checkpoint holds; nothing random is in it, since every draw is keyed."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
        }

    def load_state_dict(self, saved: dict[str, object]) -> None:
        """Goes back to a checkpoint."""
        self.model.load_state_dict(saved["model"])  # type: ignore[arg-type]
        self.optimizer.load_state_dict(saved["optimizer"])  # type: ignore[arg-type]
        assert isinstance(saved["epoch"], int)
        self.epoch = saved["epoch"]


def build(run: RunConfig, device: torch.device) -> State:
    """Builds model, data and optimizer of a run, at its start.

    Raises:
        ValueError: something in the config cannot be built; found before any image is read or made.
    """
    task = build_task(run.task)
    check_shapes(run, task)
    model = task.build_model(run, torch.Generator().manual_seed(run.seed)).to(device)
    model = model.to(memory_format=memory_format(run, device))
    dataset = build_dataset(run.data, device)
    if num_steps(dataset, run.total_batch) == 0:
        raise ValueError(
            f"a training epoch needs at least batch * workers = {run.total_batch} images, "
            f"data={run.data.name} has {dataset.num_train}; lower batch or workers"
        )
    return State(run=run, task=task, dataset=dataset, model=model, optimizer=build_optimizer(model, run))


def check_shapes(run: RunConfig, task: Task) -> None:
    """Runs one step's shapes through the model on the meta device, without memory or arithmetic.

    Raises:
        ValueError: a norm cannot be had on a layer, or has one value to normalize there.
    """
    with torch.device("meta"), torch.no_grad():
        model = task.build_model(run, torch.Generator()).train()
        model(task.example_images(run))
