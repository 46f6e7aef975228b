"""What the engine asks of a task, so that it never branches on one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from gnexp.config import RunConfig
from gnexp.data.dataset import Batch


class Task(Protocol):
    """Model, loss and score of one kind of experiment."""

    score: str  # what is reported, as in `val/<score>`; percent, lower is better

    def build_model(self, run: RunConfig, generator: torch.Generator) -> nn.Module:
        """The initialised model, on the default device."""
        ...

    def example_images(self, run: RunConfig) -> torch.Tensor:
        """Zeros on the meta device, of the shape that one training step gives the model."""
        ...

    def step(self, model: nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean loss over the batch (differentiable), and the sum of the score over its images, both scalars."""
        ...

    def tally(self, model: nn.Module, batches: Iterator[Batch]) -> Any:
        """What one process finds on its part of val: plain values that travel to the others."""
        ...

    def combine(self, tallies: Sequence[Any]) -> float:
        """The score over the whole of val, in percent, from every process's tally."""
        ...
