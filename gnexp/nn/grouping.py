"""What all norms over groups of channels have: the grouping, its checks, gamma and beta."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from gnexp.nn.kinds.grouping import GroupedNorm
from gnexp.nn.norm_act import NormAct, NormFactory


class GroupedNormAct(NormAct, abc.ABC):
    """A norm over the groups of channels of each sample.

    Args:
        channels: C.
        num_groups: G, or None where channels_per_group is given.
        channels_per_group: C / G, or None where num_groups is given.
        eps: added to the variance or the mean square.
        relu: whether ReLU, or the norm's own nonlinearity, follows.
    """

    def __init__(
        self,
        channels: int,
        *,
        num_groups: int | None,
        channels_per_group: int | None,
        eps: float,
        relu: bool,
    ) -> None:
        super().__init__(channels, relu=relu)
        self._asked = f"G={num_groups}" if num_groups else f"C/G={channels_per_group}"
        self._fits = channels % (num_groups or channels_per_group or 1) == 0
        self.num_groups = num_groups or channels // (channels_per_group or channels)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def check(self) -> None:
        """Raises ValueError where C is no multiple of G."""
        if not self._fits:
            divisors = ", ".join(str(d) for d in range(1, self.channels + 1) if self.channels % d == 0)
            raise ValueError(
                f"{self.where}groups must divide its channels evenly, "
                f"got C={self.channels} and {self._asked}; possible: {divisors}"
            )

    def check_values(self, x: torch.Tensor) -> None:
        """Raises ValueError where a group of a sample has one value."""
        if math.prod(x.shape[1:]) == self.num_groups:
            raise ValueError(
                f"{self.where}one value per group normalizes to nothing, got input {tuple(x.shape)} "
                f"and G={self.num_groups}; use fewer groups or larger images"
            )

    def extra_repr(self) -> str:
        return f"{self.channels}, num_groups={self.num_groups}, eps={self.eps}, relu={self.relu}{self.affine_words}"


def grouped_factory(cls: Callable[..., NormAct], config: GroupedNorm, **more: Any) -> NormFactory:
    """The factory of norms over groups; a sample's statistics are its own, whatever the workers.

    Args:
        cls: of the norms.
        config: their grouping and eps.
        more: what this norm alone takes.
    """

    def make(channels: int, *, relu: bool = True) -> NormAct:
        return cls(
            channels,
            num_groups=config.num_groups,
            channels_per_group=config.channels_per_group,
            eps=config.eps,
            relu=relu,
            **more,
        )

    return make
