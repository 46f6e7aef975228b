"""What the engine asks of a task, so that it never branches on one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from gnexp.config import RunConfig
from gnexp.data.dataset import Batch, Dataset


class NotFiniteError(ValueError):
    """What a model finds in evaluation is not finite: it has diverged."""


class Task(Protocol):
    """Model, loss and score of one kind of experiment."""

    # what aggregate returns, as in `val/<score>`, the most important first; percent
    scores: tuple[str, ...]
    normalizes_itself: bool  # whether the model takes pixel values in [0, 1], not normalized ones
    train_score: str | None  # what step sums up, as in `train/<score>`; None where it has none

    def build_model(self, run: RunConfig, generator: torch.Generator) -> nn.Module:
        """The initialised model, on the default device."""
        ...

    def trace(self, model: nn.Module, run: RunConfig, num_images: int) -> None:
        """Has the shapes of some images go through a model on the meta device.

        Raises:
            ValueError: a layer that these images do not fit.
        """
        ...

    def views(self, run: RunConfig, dataset: Dataset, *, epoch: int, is_thorough: bool) -> Sequence[Dataset]:
        """What of val is scored after an epoch, one after the other: the data set itself, or others made of it."""
        ...

    def eval_size(self, run: RunConfig) -> int:
        """Images that evaluation takes at once; the scores are the same for any number of processes."""
        ...

    def step(self, model: nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean loss over the batch (differentiable), and the sum of the score over its images, both scalars."""
        ...

    def measure(self, model: nn.Module, batches: Iterator[Batch], dataset: Dataset) -> Any:
        """What one process finds on its part of val: plain values that travel to the others."""
        ...

    def results(self, partials: Sequence[Any]) -> Any:
        """The partials in the field's own format, for others to score; None where there is none."""
        ...

    def draw(self, model: nn.Module, batch: Batch, dataset: Dataset) -> Iterator[tuple[str, bytes]]:
        """PNG files of what a model finds in a batch, each with its name.

        Raises:
            ValueError: a task that has nothing to draw.
        """
        ...

    def aggregate(self, partials: Sequence[Any], dataset: Dataset) -> dict[str, float]:
        """The scores over the whole of a view of val, in percent, from what each process has measured.

        Raises:
            NotFiniteError: some process has measured such a thing; every process has all partials and raises it.
        """
        ...
