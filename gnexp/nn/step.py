"""Where a training step stands in its run: what a module needs that changes with time or draws at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import nn


@dataclass(frozen=True)
class Step:
    """One training step."""

    seed: int
    epoch: int  # counted from 0
    done_epochs: float  # epochs of the run before this step, with the part of this one
    indices: npt.NDArray[np.int64]  # sample indices, (N,): the keys of what is drawn for each image
    num_workers: int = 1  # whose images these are: position p is of worker p mod num_workers


@runtime_checkable
class StepListener(Protocol):
    """A module that is told each training step before its forward pass."""

    def begin_step(self, step: Step) -> None:
        """Takes note of the step."""
        ...


def step_listeners(model: nn.Module) -> Sequence[StepListener]:
    """The model's modules that want to be told."""
    return [module for module in model.modules() if isinstance(module, StepListener)]
