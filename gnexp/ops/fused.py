"""Group normalization with residual sum and ReLU as one operator of torch's: Triton kernels, forward and backward.

Autocast has no rule for it: half-precision x with float32 weight and bias goes in as it is and comes out in x's dtype,
where torch's own group norm is cast to float32 and back. The gradient's gradient is autograd's, of the reference.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch

from gnexp.ops import reference
from gnexp.ops.differentiable import gradients
from gnexp.ops.layout import layout_of
from gnexp.ops.plan import LOOPED, SPLIT, WHOLE, group_slab, make_plan

HAS_TRITON = find_spec("triton") is not None  # importing it takes a second; done with the first call
_MOST_VALUES = 2**31  # of an image: where a value lies in it is a 32-bit number
_BLOCK_ROWS, _BLOCK_COLUMNS = 128, 16  # of the sum over images and splits
_BLOCK_SPLITS = 32  # that a merge reads at a time


def is_interpreting() -> bool:
    """Whether Triton's interpreter stands in for a GPU (slow: for tests)."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def group_norm(
    x: torch.Tensor,
    num_groups: int,
    weight: torch.Tensor,
    bias: torch.Tensor,
    eps: float,
    residual: torch.Tensor | None = None,
    relu: bool = False,
) -> torch.Tensor:
    """relu(GN(x) weight + bias + residual) of checked arguments; x (N, C, *) in any layout, y in x's or contiguous.

    Raises:
        ValueError: an image that the kernels' 32-bit offsets do not reach.
    """
    if (values := math.prod(x.shape[1:])) >= _MOST_VALUES:
        raise ValueError(
            f"norm.impl=fused takes images below {_MOST_VALUES} values, got {values} in {tuple(x.shape)}; "
            "use norm.impl=composed"
        )
    layout = layout_of(x)
    x = x.contiguous(memory_format=layout)
    if residual is not None:
        residual = residual.contiguous(memory_format=layout)
    weight, bias = weight.contiguous(), bias.contiguous()
    y: torch.Tensor = torch.ops.gnexp.group_norm(x, residual, weight, bias, num_groups, eps, relu)[0]
    return y


def _forward(
    x: torch.Tensor,
    residual: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor,
    num_groups: int,
    eps: float,
    relu: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Y like x, and the groups' mean and rstd, (N, G) in float32 (float64 for float64)."""
    from gnexp.ops import kernels

    y, mean, rstd = _forward_shapes(x, residual, weight, bias, num_groups, eps, relu)
    if x.numel() == 0:
        return y, mean, rstd
    shape = _Shape(x, num_groups)
    plan, acc = shape.plan, shape.acc
    flags = {"ACC": acc, "HAS_RESIDUAL": residual is not None, "HAS_RELU": relu}
    tensors = (x, x if residual is None else residual, weight, bias, y, mean, rstd)
    if plan.path != SPLIT:
        kernel = {WHOLE: kernels.forward_whole, LOOPED: kernels.forward_looped}[plan.path]
        shape.launch(kernel, *tensors, *shape.sizes, *shape.slabs, EPS=eps, **flags, **shape.grouping)
        return y, mean, rstd
    split_mean, split_m2 = shape.workspace(), shape.workspace()
    shape.launch(
        kernels.moments, x, split_mean, split_m2, shape.num_pixels, shape.channels, *shape.slabs, *shape.splits, ACC=acc
    )  # fmt: skip
    shape.launch_merge(
        kernels.merge_moments, (split_mean, split_m2, mean, rstd), shape.sizes, shape.splits, EPS=eps, ACC=acc
    )
    shape.launch(kernels.apply, *tensors, *shape.sizes, *shape.slabs, plan.per_split, **flags)
    return y, mean, rstd


def _forward_shapes(
    x: torch.Tensor,
    residual: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor,
    num_groups: int,
    eps: float,
    relu: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    dtype = _acc_dtype(x)
    mean = x.new_empty((x.shape[0], num_groups), dtype=dtype)
    return torch.empty_like(x), mean, torch.empty_like(mean)


def _backward(
    dy: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor,
    mean: torch.Tensor,
    rstd: torch.Tensor,
    relu: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The gradients of x, residual, weight and bias; the residual's is empty without y, from which its mask comes."""
    from gnexp.ops import kernels_backward as kernels

    dx, dresidual, dweight, dbias = _backward_shapes(dy, x, y, weight, bias, mean, rstd, relu)
    if x.numel() == 0:
        return dx, dresidual, dweight.zero_(), dbias.zero_()
    shape = _Shape(x, mean.shape[1])
    dy = dy.contiguous(memory_format=layout_of(x))
    plan, acc = shape.plan, shape.acc
    flags = {"ACC": acc, "HAS_RELU": relu, "HAS_OUTPUT": y is not None}
    inputs = (dy, x, x if y is None else y, weight, bias, mean, rstd)
    outputs = (dx, dx if y is None else dresidual)
    sum_g, sum_gx = shape.workspace(), shape.workspace()
    if plan.path != SPLIT:
        kernel = {WHOLE: kernels.backward_whole, LOOPED: kernels.backward_looped}[plan.path]
        shape.launch(
            kernel, *inputs, *outputs, sum_g, sum_gx, *shape.sizes, *shape.slabs, **flags, **shape.grouping
        )
    else:
        sum_b, sum_w = torch.empty_like(mean), torch.empty_like(mean)
        shape.launch(
            kernels.backward_sums, *inputs, sum_g, sum_gx, *shape.sizes, *shape.slabs, *shape.splits, **flags
        )
        shape.launch_merge(
            kernels.merge_sums,
            (sum_g, sum_gx, weight, sum_b, sum_w),
            shape.sizes[1:],
            shape.splits[:1],
            ACC=acc,
        )
        shape.launch(
            kernels.backward_apply,
            *inputs, sum_b, sum_w, *outputs, *shape.sizes, *shape.slabs, plan.per_split, **flags,
        )  # fmt: skip
    shape.launch_sum(kernels.sum_rows, sum_gx, dweight)
    shape.launch_sum(kernels.sum_rows, sum_g, dbias)
    return dx, dresidual, dweight, dbias


def _backward_shapes(
    dy: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor,
    mean: torch.Tensor,
    rstd: torch.Tensor,
    relu: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    dresidual = x.new_empty(0) if y is None else torch.empty_like(x)
    return torch.empty_like(x), dresidual, torch.empty_like(weight), torch.empty_like(bias)


class _Shape:
    """What the kernels are told of a tensor."""

    def __init__(self, x: torch.Tensor, num_groups: int) -> None:
        import triton.language as tl

        self.num_images, self.channels = x.shape[:2]
        self.num_pixels = x[0, 0].numel()
        self.num_groups = num_groups
        self.is_last = layout_of(x) != torch.contiguous_format
        self.plan = make_plan(self.channels, self.num_pixels, num_groups, is_channels_last=self.is_last)
        self.acc = tl.float64 if x.dtype == torch.float64 else tl.float32
        self.x = x
        per_group = self.channels // num_groups
        self.sizes = (self.num_pixels, self.channels, per_group)
        self.slabs = (self.plan.slab, self.plan.num_slabs)
        self.splits = (self.plan.num_splits, self.plan.per_split)
        self.grouping = {"IS_ONE_GROUP": self.plan.slab <= per_group}

    def workspace(self) -> torch.Tensor:
        """A value for each channel of each split."""
        shape = (self.num_images, self.plan.num_splits, self.channels)
        return torch.empty(shape, dtype=_acc_dtype(self.x), device=self.x.device)

    def launch(self, kernel: Any, *arguments: Any, **flags: Any) -> None:
        """One program for each image and slab, and for each split."""
        plan = self.plan
        with torch.cuda.device_of(self.x):  # type: ignore[no-untyped-call]
            kernel[(self.num_images * plan.num_slabs, plan.num_splits)](
                *arguments, **flags, IS_CHANNELS_LAST=self.is_last, BLOCK_S=plan.block_s, BLOCK_C=plan.block_c,
                num_warps=plan.num_warps,
            )  # fmt: skip

    def launch_merge(
        self, kernel: Any, tensors: Sequence[Any], sizes: Sequence[int], splits: Sequence[int], **flags: Any
    ) -> None:
        """One program for each image and slab of whole groups."""
        slab, num_slabs, block_c = group_slab(self.channels, self.num_groups)
        with torch.cuda.device_of(self.x):  # type: ignore[no-untyped-call]
            kernel[(self.num_images * num_slabs,)](
                *tensors, *sizes, slab, num_slabs, *splits, **flags,
                IS_ONE_GROUP=slab <= self.channels // self.num_groups, BLOCK_R=_BLOCK_SPLITS, BLOCK_C=block_c,
            )  # fmt: skip

    def launch_sum(self, kernel: Any, rows: torch.Tensor, total: torch.Tensor) -> None:
        """Adds a workspace up over images and splits, (C,)."""
        num_rows = self.num_images * self.plan.num_splits
        with torch.cuda.device_of(self.x):  # type: ignore[no-untyped-call]
            kernel[(-(-self.channels // _BLOCK_COLUMNS),)](
                rows, total, num_rows, self.channels, BLOCK_R=_BLOCK_ROWS, BLOCK_C=_BLOCK_COLUMNS
            )


def _acc_dtype(x: torch.Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
    x, residual, weight, bias, _, ctx.eps, relu = inputs
    y, mean, rstd = output
    ctx.set_materialize_grads(False)  # else zeros are made for mean and rstd, which nobody differentiates
    ctx.relu, ctx.has_residual = relu, residual is not None
    ctx.save_for_backward(x, y if relu and residual is not None else None, weight, bias, mean, rstd)


def _gradients(ctx: Any, dy: torch.Tensor | None, *_: Any) -> tuple[torch.Tensor | None, ...]:
    if dy is None:  # of mean and rstd alone
        return (None,) * 7
    if torch.is_grad_enabled():  # with create_graph=True
        return _plain_gradients(ctx, dy)
    dx, dresidual, dweight, dbias = torch.ops.gnexp.group_norm_backward(dy, *ctx.saved_tensors, ctx.relu)
    if not ctx.has_residual:
        dresidual = None
    elif not ctx.relu:
        dresidual = dy
    return dx, dresidual, dweight, dbias, None, None, None


def _plain_gradients(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    """The gradients by operations that autograd knows."""
    x, y, weight, bias, mean, _ = ctx.saved_tensors
    if y is not None:
        dy = dy.masked_fill(y.detach() <= 0, 0)
    has_relu = ctx.relu and y is None

    def equations(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        wide = (value.to(_acc_dtype(x)) for value in (x, weight, bias))
        values, weight, bias = wide
        normalized = reference.group_norm(values, mean.shape[1], weight, bias, ctx.eps, None, has_relu)
        return normalized.to(x.dtype)

    dx, dweight, dbias = gradients(equations, (x, weight, bias), dy)
    return dx, dy if ctx.has_residual else None, dweight, dbias, None, None, None


def _no_second_gradient(ctx: Any, *_: Any) -> None:
    raise RuntimeError(
        "gnexp::group_norm_backward has no gradient of its own; differentiate gnexp.group_norm with create_graph=True"
    )


_forward_op = torch.library.custom_op("gnexp::group_norm", _forward, mutates_args=())
_forward_op.register_fake(_forward_shapes)
_backward_op = torch.library.custom_op("gnexp::group_norm_backward", _backward, mutates_args=())
_backward_op.register_fake(_backward_shapes)
_forward_op.register_autograd(_gradients, setup_context=_save)
_backward_op.register_autograd(_no_second_gradient)
