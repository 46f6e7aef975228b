"""What a network costs, counted without memory or arithmetic: its parameters and its operations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from gnexp.config import RunConfig
from gnexp.tasks.build import build_task


@dataclass(frozen=True)
class Cost:
    """A network's."""

    parameters: int
    macs: int  # multiply-adds of convolutions and linear layers in one image's forward pass


def count_cost(run: RunConfig) -> Cost:
    """Counts on the meta device.

    Raises:
        ValueError: the model cannot be built, or not for these images.
    """
    task = build_task(run.task)
    with torch.device("meta"), torch.no_grad():
        model = task.build_model(run, torch.Generator()).eval()
        counter = FlopCounterMode(display=False)
        with counter:
            task.trace(model, run, 1)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Cost(parameters, counter.get_total_flops() // 2)  # torch counts a multiply-add as two
