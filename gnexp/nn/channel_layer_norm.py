"""Layer normalization over channels per position as a module."""

from __future__ import annotations

import torch
from torch import nn

from gnexp.nn.kinds.channel_layer_norm import ChannelLayerNormConfig
from gnexp.nn.norm_act import NormAct, NormFactory
from gnexp.ops.channel_layer_norm import channel_layer_norm


class ChannelLayerNormAct(NormAct):
    """Layer normalization (Ba et al. 2016) of the channels at each position, ConvNeXt's LayerNorm of maps.

    ConvNeXt has no ReLU behind it; here it stands where the network's norms stand, with their ReLU.

    Source: Liu et al. 2022 (arXiv:2201.03545), Section 2.6, and its code (eps 1e-6).

    Args:
        channels: C.
        eps: added to the variance.
        relu: whether ReLU follows.
    """

    def __init__(self, channels: int, *, eps: float, relu: bool) -> None:
        super().__init__(channels, relu=relu)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def check(self) -> None:
        """Raises ValueError where there is one channel."""
        if self.channels == 1:
            raise ValueError(
                f"{self.where}one channel per position normalizes to nothing, got C=1; choose another norm="
            )

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        y = channel_layer_norm(x, *self.affine(x), self.eps)
        return self.add_and_relu(y, residual, x.shape)

    def extra_repr(self) -> str:
        return f"{self.channels}, eps={self.eps}, relu={self.relu}{self.affine_words}"


def build_channel_layer_norm(config: ChannelLayerNormConfig, workers: int) -> NormFactory:
    """The factory of these norms; a position's statistics are its own, whatever the workers."""

    def make(channels: int, *, relu: bool = True) -> NormAct:
        return ChannelLayerNormAct(channels, eps=config.eps, relu=relu)

    return make
