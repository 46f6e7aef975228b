"""The groups of channels of every norm that has them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import require, science_field, value_of
from gnexp.config.norm import NormConfig
from gnexp.nn.kinds.constants import NormWithEps


@dataclass(frozen=True, kw_only=True)
class GroupedNorm(NormWithEps):
    """A norm whose statistics are those of a sample's groups of channels."""

    statistics_over: ClassVar = "sample"

    num_groups: int | None = science_field(None, ge=1, title="groups (G)")
    channels_per_group: int | None = science_field(None, ge=1, title="channels per group (C/G)")

    def check_together(self) -> None:
        require(
            self.num_groups is None or self.channels_per_group is None,
            "give norm.num_groups or norm.channels_per_group, not both: "
            f"got {self.num_groups} and {self.channels_per_group}",
        )

    def resolved(self, num_groups: int) -> NormConfig:
        """With the model's number of groups where none is named, so that spelling it out gives the same run."""
        if self.num_groups is not None or self.channels_per_group is not None:
            return self
        return dataclasses.replace(self, num_groups=num_groups)

    def fitting(self, channels: int) -> NormConfig:
        """With groups as asked for where they divide the channels, else as many as fit them."""
        groups, size = self.num_groups, self.channels_per_group
        if groups is not None and channels % groups:
            return dataclasses.replace(self, num_groups=fitting_groups(channels, groups))
        if size is not None and channels % size:
            return dataclasses.replace(self, channels_per_group=fitting_channels(channels, size))
        return self

    @classmethod
    def at_site(cls, word: str, backbone: NormConfig, num_groups: int) -> NormConfig:
        eps = value_of(backbone, "eps")
        return cls(num_groups=num_groups) if eps is None else cls(num_groups=num_groups, eps=eps)

    @property
    def label(self) -> str:
        if self.word != self.kind:
            return self.word
        number = self.num_groups if self.channels_per_group is None else f"c{self.channels_per_group}"
        joint = "-" if self.kind[-1].isdigit() else ""
        return f"{self.kind}{joint}{number}"


def fitting_groups(channels: int, num_groups: int) -> int:
    """G where a wanted number does not divide a layer's channels: the largest below it that does.

    A group has at least two channels: with one the layer would be instance norm, and a constant on a map of one pixel.

    Args:
        channels: C.
        num_groups: that is wanted.
    """
    most = max(1, min(num_groups, channels // 2))
    return max(groups for groups in range(1, most + 1) if channels % groups == 0)


def fitting_channels(channels: int, channels_per_group: int) -> int:
    """C / G where a wanted number does not divide C: the largest below it that does, from two on; else the next above.

    Args:
        channels: C.
        channels_per_group: that is wanted.
    """
    divisors = [size for size in range(1, channels + 1) if channels % size == 0]
    below = [size for size in divisors if 2 <= size <= channels_per_group]
    return below[-1] if below else min(size for size in divisors if size >= min(channels_per_group, channels))
