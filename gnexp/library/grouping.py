"""How many groups each layer of somebody's network gets."""

from __future__ import annotations

from dataclasses import dataclass

from gnexp.config.fields import hints_of, require
from gnexp.config.norm import NormConfig
from gnexp.library.arguments import check_arguments
from gnexp.library.conversion import in_number
from gnexp.nn.kinds.grouping import fitting_channels, fitting_groups
from gnexp.nn.replaceable import in_words

_NUM_GROUPS = 32  # the paper's


@dataclass(frozen=True)
class Grouping:
    """What was asked for, one of both numbers."""

    num_groups: int | None
    channels_per_group: int | None
    strict: bool
    is_default: bool = False  # nobody gave the number, so that it may make no layer instance norm
    is_of_name: bool = False  # the norm's name says the number, as ln does

    def num_of(self, name: str, channels: int) -> int:
        """G of a layer: as asked where that fits its channels, else the nearest that does (`fitting_groups`).

        Raises:
            ValueError: it does not fit them, and strict.
        """
        misfit = self.misfit(channels)
        if not misfit:
            return self.num_groups or channels // (self.channels_per_group or 1)
        if self.strict:
            possible = ", ".join(str(d) for d in range(1, channels + 1) if channels % d == 0)
            raise ValueError(
                f"{in_words(name)}: has {in_number(channels, 'channel')}, and {misfit}; give one of {possible}, or "
                "strict=False for the nearest of them"
            )
        if self.num_groups:
            return fitting_groups(channels, self.num_groups)
        return channels // fitting_channels(channels, self.channels_per_group or 1)

    def misfit(self, channels: int) -> str:
        """Why the number is not what a layer of so many channels gets; empty where it is."""
        number = self.num_groups or self.channels_per_group or 1
        if channels % number:
            return f"{self} does not divide {'it' if channels == 1 else 'them'}"
        if self.is_default and channels == number:
            return f"{self}, the default, would leave one a group"
        return ""

    def __str__(self) -> str:
        if self.num_groups:
            return f"num_groups={self.num_groups}"
        return f"channels_per_group={self.channels_per_group}"


def grouping_of(
    norm: str,
    config: type[NormConfig],
    meant: tuple[int | None, int | None],
    num_groups: int | None,
    channels_per_group: int | None,
    strict: bool,
) -> Grouping | None:
    """What a norm's groups are; None of a norm without groups.

    Args:
        norm: as the user named it.
        config: of its kind.
        meant: num_groups and channels_per_group that the name itself means.
        num_groups: that the user gave.
        channels_per_group: likewise.
        strict: likewise.

    Raises:
        ValueError: both numbers, one below 1, one for a norm that does not take it, or a strict that is no bool.
    """
    check_arguments(strict=strict)
    cls: type = config
    has_groups = "num_groups" in hints_of(cls)
    for key, number in (("num_groups", num_groups), ("channels_per_group", channels_per_group)):
        if number is not None:
            require(has_groups and meant == (None, None), f"norm={norm} takes no {key}, got {number}")
            check_arguments(**{key: number})
    require(
        num_groups is None or channels_per_group is None,
        f"give num_groups or channels_per_group, not both: got {num_groups} and {channels_per_group}",
    )
    if not has_groups:
        return None
    if meant != (None, None):
        return Grouping(*meant, strict, is_of_name=True)
    if num_groups is None and channels_per_group is None:
        return Grouping(_NUM_GROUPS, None, strict, is_default=True)
    return Grouping(num_groups, channels_per_group, strict)
