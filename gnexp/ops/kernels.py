"""Group normalization with residual sum and ReLU in Triton: what the kernels share, and those of the forward pass.

Dense code, so a legend. x is (N, C, S), S all of space and time, in one of two layouts: contiguous (c S + s) or
channels last (s C + c). A program holds tiles [BLOCK_S, BLOCK_C]; `s` and `c` are a tile's pixels and channels, of
one image n. A slab is what a program takes of the channels: whole groups, but in `moments` and `apply`, which know
nothing of groups. A split is a range of pixels. `mean` and `rstd` are a channel's group's, [BLOCK_C].

Every program writes memory of its own, nothing is added atomically, and the order of each sum follows from the shape:
the same inputs give the same bits. Sums are taken in ACC, float32 or, for float64, itself.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def offsets(s, c, num_pixels, channels, IS_CHANNELS_LAST: tl.constexpr):
    """Where a tile lies in its image."""
    return s[:, None] * channels + c[None, :] if IS_CHANNELS_LAST else s[:, None] + c[None, :] * num_pixels


@triton.jit
def over_group(values, group, IS_ONE_GROUP: tl.constexpr):
    """[BLOCK_C] values added up over each channel's group: at every channel its group's sum."""
    if IS_ONE_GROUP:
        total = tl.sum(values, 0) + tl.zeros_like(values)
    else:
        # Any number of channels per group, also one that is no power of 2.
        is_same = group[:, None] == group[None, :]
        total = tl.sum(tl.where(is_same, values[None, :], 0.0), 1)
    return total


@triton.jit
def tile_moments(x, mask, num):
    """Mean of each channel of a tile and sum of squared differences from it, both [BLOCK_C]; `num` pixels count."""
    mean = tl.sum(x, 0) / num
    centred = tl.where(mask, x - mean[None, :], 0.0)
    # A sum of large values is off by more than its last bit; that of the differences says by how much.
    rest = tl.sum(centred, 0) / num
    return mean + rest, tl.sum(centred * centred, 0) - rest * rest * num


@triton.jit
def merge(mean, m2, count, other_mean, other_m2, other_count):
    """Moments of two sets of values together (Chan et al. 1983); the counts are whole numbers."""
    total = count + other_count
    delta = other_mean - mean
    return (
        mean + delta * other_count / total,
        m2 + other_m2 + delta * delta * count * other_count / total,
    )


@triton.jit
def scan_moments(
    x_ptr, c, is_channel, first, last, num_pixels, channels, ACC: tl.constexpr,
    IS_CHANNELS_LAST: tl.constexpr, BLOCK_S: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Moments of each channel over the pixels [first, last), tile by tile."""
    mean = tl.zeros([BLOCK_C], ACC)
    m2 = tl.zeros([BLOCK_C], ACC)
    for start in range(first, last, BLOCK_S):
        s = start + tl.arange(0, BLOCK_S)
        mask = (s < last)[:, None] & is_channel[None, :]
        where = offsets(s, c, num_pixels, channels, IS_CHANNELS_LAST)
        x = tl.load(x_ptr + where, mask=mask, other=0.0).to(ACC)
        num = tl.minimum(last - start, BLOCK_S)
        tile_mean, tile_m2 = tile_moments(x, mask, num)
        mean, m2 = merge(mean, m2, start - first, tile_mean, tile_m2, num)
    return mean, m2


@triton.jit
def group_stats(
    mean, m2, group, is_channel, num_pixels, per_group, EPS: tl.constexpr, IS_ONE_GROUP: tl.constexpr
):
    """Mean and reciprocal std of each channel's group from the channels' own moments over all pixels."""
    group_mean = over_group(tl.where(is_channel, mean, 0.0), group, IS_ONE_GROUP) / per_group
    delta = tl.where(is_channel, mean - group_mean, 0.0)
    group_m2 = over_group(m2 + delta * delta * num_pixels, group, IS_ONE_GROUP)
    return group_mean, tl.rsqrt(group_m2 / (per_group * num_pixels) + EPS)


@triton.jit
def normalize(x, mean, rstd, weight, bias):
    """The tile, normalized and mapped; the backward pass finds ReLU's mask by the very same operations."""
    return (x - mean[None, :]) * rstd[None, :] * weight[None, :] + bias[None, :]


@triton.jit
def store_output(
    y_ptr, residual_ptr, where, mask, x, mean, rstd, weight, bias,
    HAS_RESIDUAL: tl.constexpr, HAS_RELU: tl.constexpr,
):  # fmt: skip
    """Normalizes a tile, adds the residual, applies ReLU and writes it."""
    y = normalize(x, mean, rstd, weight, bias)
    if HAS_RESIDUAL:
        y += tl.load(residual_ptr + where, mask=mask, other=0.0).to(y.dtype)
    if HAS_RELU:
        y = tl.where(y < 0, 0.0, y)  # NaN stays
    tl.store(y_ptr + where, y, mask=mask)


@triton.jit
def apply_range(
    x_ptr, residual_ptr, y_ptr, c, is_channel, mean, rstd, weight, bias, first, last, num_pixels, channels,
    ACC: tl.constexpr, HAS_RESIDUAL: tl.constexpr, HAS_RELU: tl.constexpr, IS_CHANNELS_LAST: tl.constexpr,
    BLOCK_S: tl.constexpr,
):  # fmt: skip
    """Writes the output of the pixels [first, last)."""
    for start in range(first, last, BLOCK_S):
        s = start + tl.arange(0, BLOCK_S)
        mask = (s < last)[:, None] & is_channel[None, :]
        where = offsets(s, c, num_pixels, channels, IS_CHANNELS_LAST)
        x = tl.load(x_ptr + where, mask=mask, other=0.0).to(ACC)
        store_output(y_ptr, residual_ptr, where, mask, x, mean, rstd, weight, bias, HAS_RESIDUAL, HAS_RELU)


@triton.jit
def slab_of(num_slabs, slab: tl.constexpr, channels, BLOCK_C: tl.constexpr):
    """This program's image, channels, and which of these it really has."""
    program = tl.program_id(0)
    first = (program % num_slabs) * slab
    lane = tl.arange(0, BLOCK_C)
    c = first + lane
    return (program // num_slabs).to(tl.int64), c, (lane < slab) & (c < channels)


@triton.jit
def store_stats(mean_ptr, rstd_ptr, n, c, is_channel, mean, rstd, channels, per_group):
    """Writes a slab's statistics: each group's, from its first channel."""
    slot = n * (channels // per_group) + c // per_group
    is_first = is_channel & (c % per_group == 0)
    tl.store(mean_ptr + slot, mean, mask=is_first)
    tl.store(rstd_ptr + slot, rstd, mask=is_first)


@triton.jit
def forward_whole(
    x_ptr, residual_ptr, weight_ptr, bias_ptr, y_ptr, mean_ptr, rstd_ptr,
    num_pixels, channels, per_group, slab: tl.constexpr, num_slabs,
    EPS: tl.constexpr, ACC: tl.constexpr, HAS_RESIDUAL: tl.constexpr, HAS_RELU: tl.constexpr,
    IS_CHANNELS_LAST: tl.constexpr, IS_ONE_GROUP: tl.constexpr, BLOCK_S: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """A slab of an image in registers: x is read once."""
    n, c, is_channel = slab_of(num_slabs, slab, channels, BLOCK_C)
    image = n * channels * num_pixels
    s = tl.arange(0, BLOCK_S)
    mask = (s < num_pixels)[:, None] & is_channel[None, :]
    where = offsets(s, c, num_pixels, channels, IS_CHANNELS_LAST)
    x = tl.load(x_ptr + image + where, mask=mask, other=0.0).to(ACC)
    mean, m2 = tile_moments(x, mask, num_pixels)
    mean, rstd = group_stats(mean, m2, c // per_group, is_channel, num_pixels, per_group, EPS, IS_ONE_GROUP)
    store_stats(mean_ptr, rstd_ptr, n, c, is_channel, mean, rstd, channels, per_group)
    weight = tl.load(weight_ptr + c, mask=is_channel, other=0.0).to(ACC)
    bias = tl.load(bias_ptr + c, mask=is_channel, other=0.0).to(ACC)
    store_output(
        y_ptr + image, residual_ptr + image, where, mask, x, mean, rstd, weight, bias, HAS_RESIDUAL, HAS_RELU
    )


@triton.jit
def forward_looped(
    x_ptr, residual_ptr, weight_ptr, bias_ptr, y_ptr, mean_ptr, rstd_ptr,
    num_pixels, channels, per_group, slab: tl.constexpr, num_slabs,
    EPS: tl.constexpr, ACC: tl.constexpr, HAS_RESIDUAL: tl.constexpr, HAS_RELU: tl.constexpr,
    IS_CHANNELS_LAST: tl.constexpr, IS_ONE_GROUP: tl.constexpr, BLOCK_S: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """A slab that registers do not hold: its program reads it twice, the second time from the cache."""
    n, c, is_channel = slab_of(num_slabs, slab, channels, BLOCK_C)
    image = n * channels * num_pixels
    mean, m2 = scan_moments(
        x_ptr + image, c, is_channel, 0, num_pixels, num_pixels, channels, ACC, IS_CHANNELS_LAST, BLOCK_S, BLOCK_C
    )  # fmt: skip
    mean, rstd = group_stats(mean, m2, c // per_group, is_channel, num_pixels, per_group, EPS, IS_ONE_GROUP)
    store_stats(mean_ptr, rstd_ptr, n, c, is_channel, mean, rstd, channels, per_group)
    weight = tl.load(weight_ptr + c, mask=is_channel, other=0.0).to(ACC)
    bias = tl.load(bias_ptr + c, mask=is_channel, other=0.0).to(ACC)
    apply_range(
        x_ptr + image, residual_ptr + image, y_ptr + image, c, is_channel, mean, rstd, weight, bias, 0, num_pixels,
        num_pixels, channels, ACC, HAS_RESIDUAL, HAS_RELU, IS_CHANNELS_LAST, BLOCK_S,
    )  # fmt: skip


@triton.jit
def moments(
    x_ptr, split_mean_ptr, split_m2_ptr, num_pixels, channels, slab: tl.constexpr, num_slabs, num_splits, per_split,
    ACC: tl.constexpr, IS_CHANNELS_LAST: tl.constexpr, BLOCK_S: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """First of three: the moments of each channel over each split, into (N, num_splits, C)."""
    n, c, is_channel = slab_of(num_slabs, slab, channels, BLOCK_C)
    split = tl.program_id(1)
    first = split * per_split
    last = tl.minimum(first + per_split, num_pixels)
    mean, m2 = scan_moments(
        x_ptr + n * channels * num_pixels, c, is_channel, first, last, num_pixels, channels, ACC, IS_CHANNELS_LAST,
        BLOCK_S, BLOCK_C,
    )  # fmt: skip
    slot = (n * num_splits + split) * channels + c
    tl.store(split_mean_ptr + slot, mean, mask=is_channel)
    tl.store(split_m2_ptr + slot, m2, mask=is_channel)


@triton.jit
def split_block(
    n, start, c, is_channel, num_splits, per_split, num_pixels, channels, BLOCK_R: tl.constexpr
):  # fmt: skip
    """Of the splits from `start` on: where their values lie, which there are, and how many pixels each has."""
    split = start + tl.arange(0, BLOCK_R)
    slot = (n * num_splits + split)[:, None] * channels + c[None, :]
    num = tl.minimum(num_pixels - split * per_split, per_split)
    return slot, (split < num_splits)[:, None] & is_channel[None, :], num


@triton.jit
def merge_moments(
    split_mean_ptr, split_m2_ptr, mean_ptr, rstd_ptr,
    num_pixels, channels, per_group, slab: tl.constexpr, num_slabs, num_splits, per_split,
    EPS: tl.constexpr, ACC: tl.constexpr, IS_ONE_GROUP: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Second of three: the splits' moments become the groups' statistics, in blocks of splits one after the other."""
    n, c, is_channel = slab_of(num_slabs, slab, channels, BLOCK_C)
    total = tl.zeros([BLOCK_C], ACC)
    for start in range(0, num_splits, BLOCK_R):
        slot, mask, num = split_block(
            n, start, c, is_channel, num_splits, per_split, num_pixels, channels, BLOCK_R
        )
        total += tl.sum(tl.load(split_mean_ptr + slot, mask=mask, other=0.0) * num[:, None], 0)
    mean = total / num_pixels
    m2 = tl.zeros([BLOCK_C], ACC)
    for start in range(0, num_splits, BLOCK_R):
        slot, mask, num = split_block(
            n, start, c, is_channel, num_splits, per_split, num_pixels, channels, BLOCK_R
        )
        delta = tl.where(mask, tl.load(split_mean_ptr + slot, mask=mask, other=0.0) - mean[None, :], 0.0)
        m2 += tl.sum(tl.load(split_m2_ptr + slot, mask=mask, other=0.0) + delta * delta * num[:, None], 0)
    mean, rstd = group_stats(mean, m2, c // per_group, is_channel, num_pixels, per_group, EPS, IS_ONE_GROUP)
    store_stats(mean_ptr, rstd_ptr, n, c, is_channel, mean, rstd, channels, per_group)


@triton.jit
def apply(
    x_ptr, residual_ptr, weight_ptr, bias_ptr, y_ptr, mean_ptr, rstd_ptr,
    num_pixels, channels, per_group, slab: tl.constexpr, num_slabs, per_split,
    ACC: tl.constexpr, HAS_RESIDUAL: tl.constexpr, HAS_RELU: tl.constexpr, IS_CHANNELS_LAST: tl.constexpr,
    BLOCK_S: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Third of three: the output of a split."""
    n, c, is_channel = slab_of(num_slabs, slab, channels, BLOCK_C)
    image = n * channels * num_pixels
    slot = n * (channels // per_group) + c // per_group
    mean = tl.load(mean_ptr + slot, mask=is_channel, other=0.0)
    rstd = tl.load(rstd_ptr + slot, mask=is_channel, other=0.0)
    weight = tl.load(weight_ptr + c, mask=is_channel, other=0.0).to(ACC)
    bias = tl.load(bias_ptr + c, mask=is_channel, other=0.0).to(ACC)
    first = tl.program_id(1) * per_split
    apply_range(
        x_ptr + image, residual_ptr + image, y_ptr + image, c, is_channel, mean, rstd, weight, bias, first,
        tl.minimum(first + per_split, num_pixels), num_pixels, channels, ACC, HAS_RESIDUAL, HAS_RELU,
        IS_CHANNELS_LAST, BLOCK_S,
    )  # fmt: skip
