"""Division by the root mean square of groups of channels, with what follows it: sum, then ReLU or a threshold.

Filter response normalization is this with one channel a group and a learned threshold. On a CPU a composition of
torch's operators makes twice as many passes over the maps, most of them in the gradients; these are written down here.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from gnexp.ops import reference
from gnexp.ops.differentiable import gradients, is_transformed
from gnexp.ops.layout import layout_of

_HALF = (torch.bfloat16, torch.float16)


def rms_norm(
    x: torch.Tensor,
    num_groups: int,
    weight: torch.Tensor,
    bias: torch.Tensor,
    eps: float,
    residual: torch.Tensor | None = None,
    relu: bool = False,
    threshold: torch.Tensor | None = None,
) -> torch.Tensor:
    """max(x / rms(x) * weight + bias + residual, threshold), a new tensor of x's dtype; equal to `reference.rms_norm`.

    Mean squares are taken in float32 at least. At a tie with the threshold the gradient is the threshold's.

    Args:
        x: (N, C, *), with at least one value per channel.
        num_groups: G; C must be a multiple of it.
        weight: gamma, (C,).
        bias: beta, (C,).
        eps: added to the mean square.
        residual: like x, in any memory format; left as it is.
        relu: whether ReLU follows; not beside a threshold.
        threshold: tau, (C,), or None.
    """
    wide = torch.float32 if x.dtype in _HALF else x.dtype
    given = (None if value is None else value.to(wide) for value in (x, weight, bias, residual, threshold))
    values, weight, bias, residual, threshold = given  # type: ignore[assignment]
    assert values is not None
    # The compiler fuses the equations by itself, and torch.func looks into nothing else.
    if torch.compiler.is_compiling() or is_transformed():
        y = reference.rms_norm(values, num_groups, weight, bias, eps, residual, relu, threshold)
    else:
        layout = layout_of(x)
        if residual is not None:
            residual = residual.contiguous()
        y = _RMSNorm.apply(values.contiguous(), weight, bias, residual, threshold, num_groups, eps, relu)
        y = y.contiguous(memory_format=layout)
    return y.to(x.dtype)


class _RMSNorm(torch.autograd.Function):
    """Of contiguous x. Each new tensor costs a CPU several passes over it, so there are as few as can be."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        residual: torch.Tensor | None,
        threshold: torch.Tensor | None,
        num_groups: int,
        eps: float,
        relu: bool,
    ) -> torch.Tensor:
        num_images, channels = x.shape[:2]
        rows = (num_images, channels, math.prod(x.shape[2:]))
        group = channels // num_groups * rows[2]  # values
        norm = torch.linalg.vector_norm(x.view(num_images * num_groups, group), dim=1)
        rstd = norm.square_().div_(group).add_(eps).rsqrt_().view(num_images, num_groups, 1)
        scale = (rstd * weight.view(num_groups, -1)).view(num_images, channels, 1)
        result = torch.empty_like(
            x
        )  # returned itself: autograd forbids in-place changes of a view from in here
        y = torch.mul(x.view(rows), scale, out=result.view(rows)).add_(bias.view(1, -1, 1))
        if residual is not None:
            y.add_(residual.view(rows))
        if threshold is not None:
            torch.maximum(y, threshold.view(1, -1, 1), out=y)
        elif relu:
            y.relu_()
        ctx.eps = eps
        ctx.save_for_backward(x, weight, rstd, threshold, result if relu or threshold is not None else None)
        return result

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        if torch.is_grad_enabled():  # with create_graph=True
            return _plain_backward(ctx, dy)
        x, weight, rstd, threshold, y = ctx.saved_tensors
        num_images, channels = x.shape[:2]
        num_groups = rstd.shape[1]
        rows = (num_images, channels, math.prod(x.shape[2:]))
        values, dy = x.view(rows), dy.reshape(rows)
        dthreshold = None
        if threshold is not None:
            dthreshold = dy.sum((0, 2))
            passed = y.view(rows) - threshold.view(1, -1, 1)
            dy = torch.ops.aten.threshold_backward.grad_input(dy, passed, 0, grad_input=passed)
        elif y is not None:
            dy = torch.ops.aten.threshold_backward.default(dy, y.view(rows), 0)
        dbias = dy.sum((0, 2))
        if dthreshold is not None:
            dthreshold -= dbias
        dx = torch.mul(dy, values)
        dots = dx.sum(2).view(num_images, num_groups, channels // num_groups)
        dweight = (dots * rstd).sum(0).view(-1)
        by_group = weight.view(num_groups, -1)
        scale = (rstd * by_group).view(num_images, channels, 1)
        size = channels // num_groups * rows[2]
        pull = (dots * by_group).sum(2, keepdim=True) * rstd.pow(3) / -size  # by d (1 / rms) / dx
        torch.mul(dy, scale, out=dx)
        dx.addcmul_(values, pull.expand(num_images, num_groups, channels // num_groups).reshape(scale.shape))
        dresidual = dy.view(x.shape) if ctx.needs_input_grad[3] else None
        return dx.view(x.shape), dweight, dbias, dresidual, dthreshold, None, None, None


def _plain_backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    """The gradients by operations that autograd knows."""
    x, weight, rstd, threshold, y = ctx.saved_tensors
    dthreshold = None
    if threshold is not None:
        per_channel = (1, -1, *[1] * (x.dim() - 2))
        is_stopped = y.detach() <= threshold.detach().view(per_channel)
        dthreshold = dy.masked_fill(~is_stopped, 0).transpose(0, 1).flatten(1).sum(1)
        dy = dy.masked_fill(is_stopped, 0)
    elif y is not None:
        dy = dy.masked_fill(y.detach() <= 0, 0)

    def equations(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return reference.rms_norm(x, rstd.shape[1], weight, bias, ctx.eps)

    # No gradient depends on the bias, so none is saved.
    found = gradients(equations, (x, weight, torch.zeros_like(weight, requires_grad=True)), dy)
    dresidual = dy if ctx.needs_input_grad[3] else None
    return *found, dresidual, dthreshold, None, None, None
