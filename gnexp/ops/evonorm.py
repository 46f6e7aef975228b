"""EvoNorm-S0 by torch's operators, its gradients written down: fewer passes and new tensors than autograd's."""

from __future__ import annotations

import math
from typing import Any

import torch

from gnexp.ops import reference
from gnexp.ops.differentiable import gradients, is_transformed
from gnexp.ops.layout import layout_of

_HALF = (torch.bfloat16, torch.float16)


def evonorm_s0(
    x: torch.Tensor, num_groups: int, v: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
) -> torch.Tensor:
    """X sigmoid(v x) / std(x) * weight + bias, a new tensor of x's dtype; equal to `reference.evonorm_s0`.

    Statistics are taken in float32 at least.

    Args:
        x: (N, C, *), with at least one value per channel.
        num_groups: G; C must be a multiple of it.
        v: (C,).
        weight: gamma, (C,).
        bias: beta, (C,).
        eps: added to the variance.
    """
    wide = torch.float32 if x.dtype in _HALF else x.dtype
    values, v, weight, bias = (value.to(wide) for value in (x, v, weight, bias))
    # The compiler fuses the equations by itself, and torch.func looks into nothing else.
    if torch.compiler.is_compiling() or is_transformed():
        y = reference.evonorm_s0(values, num_groups, v, weight, bias, eps)
    else:
        y = _EvoNormS0.apply(values.contiguous(), v, weight, bias, num_groups, eps)
        y = y.contiguous(memory_format=layout_of(x))
    return y.to(x.dtype)


class _EvoNormS0(torch.autograd.Function):
    """Of contiguous x."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        v: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        num_groups: int,
        eps: float,
    ) -> torch.Tensor:
        num_images, channels = x.shape[:2]
        values = math.prod(x.shape[2:])
        rows, groups = (
            (num_images, channels, values),
            (num_images, num_groups, channels // num_groups * values),
        )
        mean = x.view(groups).mean(2, keepdim=True)
        gate = x.view(groups) - mean
        norm = torch.linalg.vector_norm(gate, dim=2, keepdim=True)
        rstd = norm.square_().div_(groups[2]).add_(eps).rsqrt_()
        gate = gate.view(rows)
        torch.mul(x.view(rows), v.view(1, -1, 1), out=gate).sigmoid_()
        result = torch.empty_like(
            x
        )  # returned itself: autograd forbids in-place changes of a view from in here
        y = torch.mul(x.view(rows), gate, out=result.view(rows))
        y.mul_((rstd * weight.view(num_groups, -1)).view(num_images, channels, 1)).add_(bias.view(1, -1, 1))
        ctx.eps = eps
        ctx.save_for_backward(x, v, weight, mean, rstd, gate)
        return result

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, v, weight, mean, rstd, gate = ctx.saved_tensors
        num_images, channels = x.shape[:2]
        num_groups = rstd.shape[1]
        if torch.is_grad_enabled():  # with create_graph=True
            bias = torch.zeros_like(weight, requires_grad=True)  # no gradient depends on it, so none is saved

            def equations(
                x: torch.Tensor, v: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
            ) -> torch.Tensor:
                return reference.evonorm_s0(x, num_groups, v, weight, bias, ctx.eps)

            return *gradients(equations, (x, v, weight, bias), dy), None, None
        rows = gate.shape
        size = channels // num_groups * rows[2]
        values, dy = x.view(rows), dy.reshape(rows)
        by_group, per_channel = weight.view(num_groups, -1), (num_images, channels, 1)
        scale = (rstd * by_group).view(per_channel)

        gated = torch.mul(values, gate)
        product = torch.mul(dy, gated)
        dots = product.sum(2).view(num_images, num_groups, channels // num_groups)
        dweight = (dots * rstd).sum(0).view(-1)
        dbias = dy.sum((0, 2))
        # x s' = x s (1 - s) = gated - gated s, so that d (x s) / dv = x (gated - gated s) = gated (x - gated)
        rest = torch.sub(values, gated, out=gated)
        dv = (product.mul_(rest).sum(2).view(per_channel) * scale).sum((0, 2))
        # d (x s) / dx = s + v gated (1 - s) = s (1 + v (x - gated))
        dx = rest.mul_(v.view(1, -1, 1)).add_(1).mul_(gate).mul_(dy).mul_(scale)
        pull = (dots * by_group).sum(2, keepdim=True) * rstd.pow(3) / -size  # by d (1 / std) / dx
        wide = (num_images, num_groups, channels // num_groups)
        dx.addcmul_(values, pull.expand(wide).reshape(per_channel))
        dx.sub_((pull * mean).expand(wide).reshape(per_channel))
        return dx.view(x.shape), dv, dweight, dbias, None, None
