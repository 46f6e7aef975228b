"""The kernels of group normalization's backward pass; the legend stands in kernels.py.

With xhat = (x - mean) rstd and g the gradient that comes, 0 where ReLU gave 0:
    bias's gradient    B_c = sum of g over images and pixels
    weight's gradient  W_c = sum of g xhat
    x's gradient       rstd (weight g - (b + xhat w) / D), where b and w are the sums of weight B_c and weight W_c over
                       one image's group of D values.
So one pass sums g and g xhat for each channel of each image, the next writes x's gradient.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gnexp.ops.kernels import normalize, offsets, over_group, slab_of


@triton.jit
def load_gradient(
    dy_ptr, y_ptr, where, mask, x, mean, rstd, weight, bias, HAS_RELU: tl.constexpr, HAS_OUTPUT: tl.constexpr
):
    """A tile's g and xhat. Where the output went through a residual sum, ReLU's mask needs it; else x tells."""
    g = tl.load(dy_ptr + where, mask=mask, other=0.0).to(x.dtype)
    if HAS_RELU:
        if HAS_OUTPUT:
            y = tl.load(y_ptr + where, mask=mask, other=0.0).to(x.dtype)
        else:
            y = normalize(x, mean, rstd, weight, bias)
        g = tl.where(y <= 0, 0.0, g)  # not so for NaN, as in torch
    return g, (x - mean[None, :]) * rstd[None, :]


@triton.jit
def store_gradients(
    dx_ptr, dresidual_ptr, where, mask, g, xhat, rstd, weight, sum_b, sum_w, num, HAS_OUTPUT: tl.constexpr
):
    """Writes a tile's gradient of x and, where it is not the gradient that comes, the residual's."""
    shared = (sum_b[None, :] + xhat * sum_w[None, :]) / num
    tl.store(dx_ptr + where, rstd[None, :] * (weight[None, :] * g - shared), mask=mask)
    if HAS_OUTPUT:
        tl.store(dresidual_ptr + where, g, mask=mask)


@triton.jit
def load_parameters(
    mean_ptr, rstd_ptr, weight_ptr, bias_ptr, n, c, is_channel, channels, per_group, ACC: tl.constexpr
):
    """A slab's mean, rstd, weight and bias, each [BLOCK_C]."""
    slot = n * (channels // per_group) + c // per_group
    return (
        tl.load(mean_ptr + slot, mask=is_channel, other=0.0),
        tl.load(rstd_ptr + slot, mask=is_channel, other=0.0),
        tl.load(weight_ptr + c, mask=is_channel, other=0.0).to(ACC),
        tl.load(bias_ptr + c, mask=is_channel, other=0.0).to(ACC),
    )


@triton.jit
def scan_sums(
    dy_ptr, x_ptr, y_ptr, c, is_channel, mean, rstd, weight, bias, first, last, num_pixels, channels,
    ACC: tl.constexpr, HAS_RELU: tl.constexpr, HAS_OUTPUT: tl.constexpr, IS_CHANNELS_LAST: tl.constexpr,
    BLOCK_S: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Each channel's sums of g and of g xhat over the pixels [first, last)."""
    sum_g = tl.zeros([BLOCK_C], ACC)
    sum_gx = tl.zeros([BLOCK_C], ACC)
    for start in range(first, last, BLOCK_S):
        s = start + tl.arange(0, BLOCK_S)
        mask = (s < last)[:, None] & is_channel[None, :]
        where = offsets(s, c, num_pixels, channels, IS_CHANNELS_LAST)
        x = tl.load(x_ptr + where, mask=mask, other=0.0).to(ACC)
        g, xhat = load_gradient(dy_ptr, y_ptr, where, mask, x, mean, rstd, weight, bias, HAS_RELU, HAS_OUTPUT)
        sum_g += tl.sum(g, 0)
        sum_gx += tl.sum(g * xhat, 0)
    return sum_g, sum_gx


@triton.jit
def gradient_range(
    dy_ptr, x_ptr, y_ptr, dx_ptr, dresidual_ptr, c, is_channel, mean, rstd, weight, bias, sum_b, sum_w, first, last,
    num_pixels, channels, num,
    ACC: tl.constexpr, HAS_RELU: tl.constexpr, HAS_OUTPUT: tl.constexpr, IS_CHANNELS_LAST: tl.constexpr,
    BLOCK_S: tl.constexpr,
):  # fmt: skip
    """Writes the gradients of the pixels [first, last)."""
    for start in range(first, last, BLOCK_S):
        s = start + tl.arange(0, BLOCK_S)
        mask = (s < last)[:, None] & is_channel[None, :]
        where = offsets(s, c, num_pixels, channels, IS_CHANNELS_LAST)
        x = tl.load(x_ptr + where, mask=mask, other=0.0).to(ACC)
        g, xhat = load_gradient(dy_ptr, y_ptr, where, mask, x, mean, rstd, weight, bias, HAS_RELU, HAS_OUTPUT)
        store_gradients(
            dx_ptr, dresidual_ptr, where, mask, g, xhat, rstd, weight, sum_b, sum_w, num, HAS_OUTPUT
        )


@triton.jit
def backward_whole(
    dy_ptr, x_ptr, y_ptr, weight_ptr, bias_ptr, mean_ptr, rstd_ptr, dx_ptr, dresidual_ptr, sum_g_ptr, sum_gx_ptr,
    num_pixels, channels, per_group, slab: tl.constexpr, num_slabs,
    ACC: tl.constexpr, HAS_RELU: tl.constexpr, HAS_OUTPUT: tl.constexpr, IS_CHANNELS_LAST: tl.constexpr,
    IS_ONE_GROUP: tl.constexpr, BLOCK_S: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """A slab of an image in registers: everything is read once."""
    n, c, is_channel = slab_of(num_slabs, slab, channels, BLOCK_C)
    mean, rstd, weight, bias = load_parameters(
        mean_ptr, rstd_ptr, weight_ptr, bias_ptr, n, c, is_channel, channels, per_group, ACC
    )
    s = tl.arange(0, BLOCK_S)
    mask = (s < num_pixels)[:, None] & is_channel[None, :]
    image = n * channels * num_pixels
    where = offsets(s, c, num_pixels, channels, IS_CHANNELS_LAST)
    x = tl.load(x_ptr + image + where, mask=mask, other=0.0).to(ACC)
    g, xhat = load_gradient(
        dy_ptr + image, y_ptr + image, where, mask, x, mean, rstd, weight, bias, HAS_RELU, HAS_OUTPUT
    )
    sum_g = tl.sum(g, 0)
    sum_gx = tl.sum(g * xhat, 0)
    tl.store(sum_g_ptr + n * channels + c, sum_g, mask=is_channel)
    tl.store(sum_gx_ptr + n * channels + c, sum_gx, mask=is_channel)
    sum_b = over_group(weight * sum_g, c // per_group, IS_ONE_GROUP)
    sum_w = over_group(weight * sum_gx, c // per_group, IS_ONE_GROUP)
    store_gradients(
        dx_ptr + image, dresidual_ptr + image, where, mask, g, xhat, rstd, weight, sum_b, sum_w,
        per_group * num_pixels, HAS_OUTPUT,
    )  # fmt: skip


@triton.jit
def backward_looped(
    dy_ptr, x_ptr, y_ptr, weight_ptr, bias_ptr, mean_ptr, rstd_ptr, dx_ptr, dresidual_ptr, sum_g_ptr, sum_gx_ptr,
    num_pixels, channels, per_group, slab: tl.constexpr, num_slabs,
    ACC: tl.constexpr, HAS_RELU: tl.constexpr, HAS_OUTPUT: tl.constexpr, IS_CHANNELS_LAST: tl.constexpr,
    IS_ONE_GROUP: tl.constexpr, BLOCK_S: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """A slab that registers do not hold: its program reads it twice, the second time from the cache."""
    n, c, is_channel = slab_of(num_slabs, slab, channels, BLOCK_C)
    mean, rstd, weight, bias = load_parameters(
        mean_ptr, rstd_ptr, weight_ptr, bias_ptr, n, c, is_channel, channels, per_group, ACC
    )
    image = n * channels * num_pixels
    sum_g, sum_gx = scan_sums(
        dy_ptr + image, x_ptr + image, y_ptr + image, c, is_channel, mean, rstd, weight, bias, 0, num_pixels,
        num_pixels, channels, ACC, HAS_RELU, HAS_OUTPUT, IS_CHANNELS_LAST, BLOCK_S, BLOCK_C,
    )  # fmt: skip
    tl.store(sum_g_ptr + n * channels + c, sum_g, mask=is_channel)
    tl.store(sum_gx_ptr + n * channels + c, sum_gx, mask=is_channel)
    sum_b = over_group(weight * sum_g, c // per_group, IS_ONE_GROUP)
    sum_w = over_group(weight * sum_gx, c // per_group, IS_ONE_GROUP)
    gradient_range(
        dy_ptr + image, x_ptr + image, y_ptr + image, dx_ptr + image, dresidual_ptr + image, c, is_channel, mean, rstd,
        weight, bias, sum_b, sum_w, 0, num_pixels, num_pixels, channels, per_group * num_pixels,
        ACC, HAS_RELU, HAS_OUTPUT, IS_CHANNELS_LAST, BLOCK_S,
    )  # fmt: skip


@triton.jit
def backward_sums(
    dy_ptr, x_ptr, y_ptr, weight_ptr, bias_ptr, mean_ptr, rstd_ptr, sum_g_ptr, sum_gx_ptr,
    num_pixels, channels, per_group, slab: tl.constexpr, num_slabs, num_splits, per_split,
    ACC: tl.constexpr, HAS_RELU: tl.constexpr, HAS_OUTPUT: tl.constexpr, IS_CHANNELS_LAST: tl.constexpr,
    BLOCK_S: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """First of three: each channel's sums over each split, into (N, num_splits, C)."""
    n, c, is_channel = slab_of(num_slabs, slab, channels, BLOCK_C)
    mean, rstd, weight, bias = load_parameters(
        mean_ptr, rstd_ptr, weight_ptr, bias_ptr, n, c, is_channel, channels, per_group, ACC
    )
    image = n * channels * num_pixels
    split = tl.program_id(1)
    first = split * per_split
    sum_g, sum_gx = scan_sums(
        dy_ptr + image, x_ptr + image, y_ptr + image, c, is_channel, mean, rstd, weight, bias, first,
        tl.minimum(first + per_split, num_pixels), num_pixels, channels, ACC, HAS_RELU, HAS_OUTPUT, IS_CHANNELS_LAST,
        BLOCK_S, BLOCK_C,
    )  # fmt: skip
    slot = (n * num_splits + split) * channels + c
    tl.store(sum_g_ptr + slot, sum_g, mask=is_channel)
    tl.store(sum_gx_ptr + slot, sum_gx, mask=is_channel)


@triton.jit
def merge_sums(
    sum_g_ptr, sum_gx_ptr, weight_ptr, sum_b_ptr, sum_w_ptr, channels, per_group, slab: tl.constexpr, num_slabs,
    num_splits,
    ACC: tl.constexpr, IS_ONE_GROUP: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Second of three: the splits' sums become the groups', (N, G), in blocks of splits one after the other."""
    n, c, is_channel = slab_of(num_slabs, slab, channels, BLOCK_C)
    sum_g = tl.zeros([BLOCK_C], ACC)
    sum_gx = tl.zeros([BLOCK_C], ACC)
    for start in range(0, num_splits, BLOCK_R):
        split = start + tl.arange(0, BLOCK_R)
        mask = (split < num_splits)[:, None] & is_channel[None, :]
        slot = (n * num_splits + split)[:, None] * channels + c[None, :]
        sum_g += tl.sum(tl.load(sum_g_ptr + slot, mask=mask, other=0.0), 0)
        sum_gx += tl.sum(tl.load(sum_gx_ptr + slot, mask=mask, other=0.0), 0)
    weight = tl.load(weight_ptr + c, mask=is_channel, other=0.0).to(ACC)
    group = n * (channels // per_group) + c // per_group
    is_first = is_channel & (c % per_group == 0)
    tl.store(sum_b_ptr + group, over_group(weight * sum_g, c // per_group, IS_ONE_GROUP), mask=is_first)
    tl.store(sum_w_ptr + group, over_group(weight * sum_gx, c // per_group, IS_ONE_GROUP), mask=is_first)


@triton.jit
def backward_apply(
    dy_ptr, x_ptr, y_ptr, weight_ptr, bias_ptr, mean_ptr, rstd_ptr, sum_b_ptr, sum_w_ptr, dx_ptr, dresidual_ptr,
    num_pixels, channels, per_group, slab: tl.constexpr, num_slabs, per_split,
    ACC: tl.constexpr, HAS_RELU: tl.constexpr, HAS_OUTPUT: tl.constexpr, IS_CHANNELS_LAST: tl.constexpr,
    BLOCK_S: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Third of three: the gradients of a split."""
    n, c, is_channel = slab_of(num_slabs, slab, channels, BLOCK_C)
    mean, rstd, weight, bias = load_parameters(
        mean_ptr, rstd_ptr, weight_ptr, bias_ptr, n, c, is_channel, channels, per_group, ACC
    )
    group = n * (channels // per_group) + c // per_group
    sum_b = tl.load(sum_b_ptr + group, mask=is_channel, other=0.0)
    sum_w = tl.load(sum_w_ptr + group, mask=is_channel, other=0.0)
    image = n * channels * num_pixels
    first = tl.program_id(1) * per_split
    gradient_range(
        dy_ptr + image, x_ptr + image, y_ptr + image, dx_ptr + image, dresidual_ptr + image, c, is_channel, mean, rstd,
        weight, bias, sum_b, sum_w, first, tl.minimum(first + per_split, num_pixels), num_pixels, channels,
        per_group * num_pixels, ACC, HAS_RELU, HAS_OUTPUT, IS_CHANNELS_LAST, BLOCK_S,
    )  # fmt: skip


@triton.jit
def sum_rows(rows_ptr, total_ptr, num_rows, channels, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr):
    """Adds (num_rows, C) up to (C,): in blocks of rows, one after the other."""
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    total = tl.zeros([BLOCK_C], rows_ptr.dtype.element_ty)
    for start in range(0, num_rows, BLOCK_R):
        row = start + tl.arange(0, BLOCK_R)
        mask = (row < num_rows)[:, None] & (c < channels)[None, :]
        slot = row.to(tl.int64)[:, None] * channels + c[None, :]
        total += tl.sum(tl.load(rows_ptr + slot, mask=mask, other=0.0), 0)
    tl.store(total_ptr + c, total, mask=c < channels)
