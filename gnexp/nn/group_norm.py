"""Group normalization as a module; LN and IN are it too."""

from __future__ import annotations

import torch

from gnexp.nn.grouping import GroupedNormAct, grouped_factory
from gnexp.nn.kinds.group_norm import GroupNormConfig
from gnexp.nn.norm_act import NormFactory
from gnexp.ops.group_norm import group_norm


class GroupNormAct(GroupedNormAct):
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
        super().__init__(
            channels, num_groups=num_groups, channels_per_group=channels_per_group, eps=eps, relu=relu
        )
        self.impl = impl

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        self.check_values(x)
        return group_norm(
            x, self.num_groups, self.weight, self.bias, self.eps, residual, self.relu, self.impl
        )


def build_group_norm(config: GroupNormConfig, workers: int) -> NormFactory:
    """The factory of group norms; a sample's statistics are its own, whatever the workers."""
    return grouped_factory(GroupNormAct, config, impl=config.impl)
