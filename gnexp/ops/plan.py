"""How the group-norm kernels cut their work: by shape and layout alone, so that a sample never depends on its batch."""

from __future__ import annotations

from dataclasses import dataclass

WHOLE, LOOPED, SPLIT = "whole", "looped", "split"
_WHOLE = 16 * 1024  # values that a program holds in registers, the backward pass several of each
# Values that one program reads twice, the second time from the cache; above, several share the work. In channels last
# a slab is many groups, and the slabs that are worked on at a time would not fit into a GPU's cache.
_LOOPED_CONTIGUOUS, _LOOPED_CHANNELS_LAST = 128 * 1024, 32 * 1024
_TILE = 4 * 1024  # values of a tile in a loop
# Channels side by side: in channels last they make whole memory transactions; of several groups there are no more.
_NARROWEST = 32
_WIDEST = 64  # channels of a tile in a loop
_MIN_SLAB = 1024  # values below which a program takes several groups


@dataclass(frozen=True)
class Plan:
    """The path, and what its programs take."""

    path: str  # whole | looped | split
    slab: int  # channels of a program
    num_slabs: int
    block_s: int
    block_c: int
    num_splits: int = 1
    per_split: int = 0  # pixels
    is_aligned: bool = True  # memory can be read 128 bits at a time

    @property
    def num_warps(self) -> int:
        """So that a thread holds 32 values of a tile: with more the backward pass spills registers.

        In a loop 16, and where each value has an address of its own.
        """
        values = 1024 if self.path == WHOLE and self.is_aligned else 512
        return max(1, min(16, self.block_s * self.block_c // values))


def make_plan(
    channels: int,
    num_pixels: int,
    num_groups: int,
    *,
    is_channels_last: bool,
    path: str | None = None,
    per_split: int | None = None,
) -> Plan:
    """The plan for one image of (channels, num_pixels).

    Args:
        channels: C.
        num_pixels: S, all of space and time.
        num_groups: G.
        is_channels_last: whether channels lie innermost in memory.
        path: taken instead of the best one; for tests.
        per_split: pixels of a split, likewise.
    """
    per_group = channels // num_groups
    # As many as fill the lanes, and no more: to tell groups apart costs a program the square of its channels.
    groups, most = _NARROWEST // per_group, _LOOPED_CHANNELS_LAST
    if not is_channels_last:
        groups, most = min(groups, _MIN_SLAB // (per_group * num_pixels)), _LOOPED_CONTIGUOUS
    slab = max(1, min(groups, num_groups)) * per_group
    block_s, block_c = _power(num_pixels), _power(slab)
    if path is None:
        is_looped = slab * num_pixels <= most and block_c <= _WIDEST
        path = WHOLE if block_s * block_c <= _WHOLE else LOOPED if is_looped else SPLIT
    if path == WHOLE:
        # Triton asks whether 16 divides the pixels; those of 14^2 and 7^2 pixels it does not.
        is_aligned = is_channels_last or num_pixels % 16 == 0
        return Plan(WHOLE, slab, _up(channels, slab), block_s, block_c, is_aligned=is_aligned)
    if path == LOOPED:
        return Plan(LOOPED, slab, _up(channels, slab), _limit(block_s, _TILE // block_c), block_c)
    # No group has to fit into a slab here.
    if is_channels_last:
        block_c = min(_power(channels), _WIDEST)
        block_s = _limit(block_s, _TILE // block_c)
    else:
        block_s = min(block_s, _TILE)
        block_c = _limit(_power(channels), _TILE // block_s)
    per_split = per_split or 8 * block_s
    return Plan(
        SPLIT, block_c, _up(channels, block_c), block_s, block_c, _up(num_pixels, per_split), per_split
    )


def group_slab(channels: int, num_groups: int) -> tuple[int, int, int]:
    """Slab, number of slabs and block_c of the kernels that merge splits: whole groups, about 64 channels."""
    per_group = channels // num_groups
    slab = min(num_groups, max(1, 64 // per_group)) * per_group
    return slab, _up(channels, slab), _power(slab)


def _up(a: int, b: int) -> int:
    return -(-a // b)


def _power(n: int) -> int:
    """The smallest power of 2 that is not below n."""
    return 1 << max(0, n - 1).bit_length()


def _limit(block: int, most: int) -> int:
    return max(1, min(block, most))
