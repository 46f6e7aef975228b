"""What every norm is that takes statistics over images in training and keeps running ones for evaluation."""

from __future__ import annotations

import abc

import torch
from torch import nn

from gnexp.nn.norm_act import NormAct


class RunningNormAct(NormAct, abc.ABC):
    """A norm over the images of a batch, which evaluates with running statistics.

    In training, position p of the batch belongs to worker p mod workers, counted among the workers of the pass
    (`take_workers`).

    Args:
        channels: C.
        workers: V, that this process holds.
        eps: added to the variance.
        momentum: weight of the new batch in the running statistics.
        relu: whether ReLU follows.
    """

    running_mean: torch.Tensor  # (V, C) where each worker has its own, else (C,)

    def __init__(self, channels: int, *, workers: int, eps: float, momentum: float, relu: bool) -> None:
        super().__init__(channels, relu=relu)
        self.workers = workers
        self.eps = eps
        self.momentum = momentum
        self.active = slice(0, workers)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        return self.add_and_relu(self.normalize(x), residual, x.shape)

    @abc.abstractmethod
    def normalize(self, x: torch.Tensor) -> torch.Tensor:
        """The normalized and affinely mapped x: a new tensor, of x's shape or folded."""

    @abc.abstractmethod
    def set_running_stats(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        """Takes these statistics, both (C,), for every worker."""

    def take_workers(self, active: slice) -> None:
        """The next training batches hold the images of these workers alone."""
        self.active = active

    @property
    def num_active(self) -> int:
        """Workers that share a training batch."""
        return int(self.active.stop - self.active.start)

    def extra_repr(self) -> str:
        words = f"{self.channels}, workers={self.workers}, eps={self.eps}, momentum={self.momentum}, relu={self.relu}"
        return words + self.affine_words
