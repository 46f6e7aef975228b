"""Convolutions with standardized weights (Qiao et al. 2019), which group normalization follows."""

from __future__ import annotations

import torch
from torch import nn

from gnexp.nn.kinds.group_norm import StandardizedGroupNormConfig
from gnexp.nn.norm_act import ConvFactory
from gnexp.nn.pointwise import StridedPointwise, StridedPointwise3d
from gnexp.ops.weight_standardization import standardize

# The paper states none; its code adds this to the std.
EPS = 1e-5


class StandardizedConv2d(nn.Conv2d):
    """A convolution whose weight is standardized in each forward pass; gradients go through that.

    By the paper's equations: the variance is biased, with eps inside the root. Its code divides by the unbiased std
    plus eps, which is larger by sqrt(n / (n - 1)) where every output channel has n weights. All channels share this
    factor, and the group norm behind removes it.

    Transposed convolutions stay as they are: the paper's code has a layer for plain ones alone, and so has timm.

    Source: Qiao et al. 2019 (arXiv:1903.10520), and github.com/joe-siyuan-qiao/WeightStandardization.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self._conv_forward(
            x, standardize(self.weight, EPS).to(self.weight.dtype), self.bias
        )
        return y


class StandardizedConv3d(nn.Conv3d):
    """StandardizedConv2d over frames too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self._conv_forward(
            x, standardize(self.weight, EPS).to(self.weight.dtype), self.bias
        )
        return y


class StandardizedPointwise(StandardizedConv2d, StridedPointwise):
    """Weights of the one, the way of computing of the other."""


class StandardizedPointwise3d(StandardizedConv3d, StridedPointwise3d):
    """Likewise."""


_STANDARDIZED: dict[type[nn.Module], type[StandardizedConv2d | StandardizedConv3d]] = {
    nn.Conv2d: StandardizedConv2d,
    nn.Conv3d: StandardizedConv3d,
    StridedPointwise: StandardizedPointwise,
    StridedPointwise3d: StandardizedPointwise3d,
}


_PLAIN = {standardized: plain for plain, standardized in _STANDARDIZED.items()}


def build_standardized_conv(config: StandardizedGroupNormConfig) -> ConvFactory:
    """The factory that standardizes the weights of convolutions."""
    return standardized_conv


def standardized_conv(conv: nn.Module) -> nn.Module:
    """The convolution itself, with another class: parameters, hooks and state_dict stay.

    Raises:
        ValueError: no convolution that has a standardized one, or an output channel has a single weight.
    """
    if is_standardized(conv):
        return conv
    found = _STANDARDIZED.get(type(conv))
    if found is None:
        known = ", ".join(cls.__name__ for cls in _STANDARDIZED)
        raise ValueError(
            f"weights can be standardized of {known}, got a {type(conv).__name__}; choose another norm="
        )
    assert isinstance(conv, nn.Conv2d | nn.Conv3d)
    if conv.weight[0].numel() == 1:
        raise ValueError(
            f"one weight per output channel standardizes to 0, got weight {tuple(conv.weight.shape)}; "
            "choose another norm="
        )
    conv.__class__ = found  # as torch's parametrizations do it
    return conv


def is_standardized(conv: nn.Module) -> bool:
    """Whether it is a convolution that standardized_conv gives."""
    return type(conv) in _PLAIN


def take_standardization_off(conv: nn.Module) -> None:
    """Makes of a standardized convolution the one that it was."""
    conv.__class__ = _PLAIN[type(conv)]  # type: ignore[index]
