"""Group normalization as a module; LN and IN are it too."""

from __future__ import annotations

import math

import torch
from torch import nn

from gnexp.nn.kinds.group_norm import GroupNormConfig
from gnexp.nn.norm_act import NormAct, NormFactory
from gnexp.ops.group_norm import group_norm


class GroupNormAct(NormAct):
    """Group normalization (Wu & He 2018, Eq. 7); LN with one group, IN with one channel per group.

    Args:
        channels: C.
        num_groups: G, or None where channels_per_group is given.
        channels_per_group: C / G, or None where num_groups is given.
        eps: added to the variance.
        relu: whether ReLU follows.
        impl: auto, fused or composed (`gnexp.ops.group_norm.choose_impl`).
    """

    def __init__(
        self,
        channels: int,
        *,
        num_groups: int | None,
        channels_per_group: int | None,
        eps: float,
        relu: bool,
        impl: str = "auto",
    ) -> None:
        super().__init__(channels, relu=relu)
        self._asked = f"G={num_groups}" if num_groups else f"C/G={channels_per_group}"
        self._fits = channels % (num_groups or channels_per_group or 1) == 0
        self.num_groups = num_groups or channels // (channels_per_group or channels)
        self.eps = eps
        self.impl = impl
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def check(self) -> None:
        """Raises ValueError where C is no multiple of G."""
        if not self._fits:
            divisors = ", ".join(str(d) for d in range(1, self.channels + 1) if self.channels % d == 0)
            raise ValueError(
                f"layer {self.name}: groups must divide its channels evenly, "
                f"got C={self.channels} and {self._asked}; possible: {divisors}"
            )

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        if math.prod(x.shape[1:]) == self.num_groups:
            raise ValueError(
                f"layer {self.name}: one value per group normalizes to nothing, got input {tuple(x.shape)} "
                f"and G={self.num_groups}; use fewer groups or larger images"
            )
        return group_norm(
            x, self.num_groups, self.weight, self.bias, self.eps, residual, self.relu, self.impl
        )

    def extra_repr(self) -> str:
        return f"{self.channels}, num_groups={self.num_groups}, eps={self.eps}, relu={self.relu}"


def build_group_norm(config: GroupNormConfig, workers: int) -> NormFactory:
    """The factory of group norms; a sample's statistics are its own, whatever the workers."""

    def make(channels: int, *, relu: bool = True) -> NormAct:
        return GroupNormAct(
            channels,
            num_groups=config.num_groups,
            channels_per_group=config.channels_per_group,
            eps=config.eps,
            relu=relu,
            impl=config.impl,
        )

    return make
