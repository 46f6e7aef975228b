"""No normalization: a bias per channel."""

from __future__ import annotations

import torch
from torch import nn

from gnexp.nn.kinds.no_norm import NoNormConfig
from gnexp.nn.norm_act import NormAct, NormFactory


class NoNormAct(NormAct):
    """No normalization: the bias per channel that a convolution before a norm does without."""

    def __init__(self, channels: int, *, relu: bool) -> None:
        super().__init__(channels, relu=relu)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        return self.add_and_relu(x + self.bias.view(1, -1, *[1] * (x.dim() - 2)), residual, x.shape)


def build_no_norm(config: NoNormConfig, workers: int) -> NormFactory:
    """The factory of biases."""

    def make(channels: int, *, relu: bool = True) -> NormAct:
        return NoNormAct(channels, relu=relu)

    return make
