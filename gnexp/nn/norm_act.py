"""Normalization, residual add and ReLU as one module.

A model writes `self.bn3(self.conv3(x), residual=identity)`. Names are torchvision's whatever the norm, so that
weights travel.
"""

from __future__ import annotations

import abc

import torch
from torch import nn


class NormAct(nn.Module, abc.ABC):
    """Normalizes (N, C, *), adds a residual of the same shape if given one, then applies ReLU if it has one.

    Args:
        channels: C.
        relu: whether ReLU follows.
    """

    def __init__(self, channels: int, *, relu: bool) -> None:
        super().__init__()
        self.channels = channels
        self.relu = relu
        self.name = "(unnamed norm)"

    @abc.abstractmethod
    def normalize(self, x: torch.Tensor) -> torch.Tensor:
        """The normalized and affinely mapped x: a new tensor, of x's shape or of one that views the same memory."""

    def check(self) -> None:
        """Raises ValueError where the norm cannot be had on this layer; called before training starts."""

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        y = self.normalize(x)
        # In place: y is new, and no norm's backward reads its own output. In y's own shape: autograd would clone
        # whole gradients to undo a change that was made in place through a view.
        if residual is not None:
            y = y.add_(residual.reshape(y.shape))
        if self.relu:
            y = y.relu_()
        return y.view(x.shape)

    def extra_repr(self) -> str:
        return f"{self.channels}, relu={self.relu}"
