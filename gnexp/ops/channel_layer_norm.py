"""Layer normalization of the channels at each position, in whichever layout the map is."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from gnexp.ops import reference

_HALF = (torch.bfloat16, torch.float16)
_FEW_POSITIONS = (
    32  # up to which transposing a map twice costs less than further passes; measured (docs/log.md)
)


def channel_layer_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
    """LN(x) * weight + bias over the channels of each position; equal to `reference.channel_layer_norm`.

    A new tensor of x's dtype and layout. Statistics are taken in float32 at least. Where channels lie side by side it
    is torch's layer norm. A contiguous map would have to be transposed for that, twice, and torch's kernel is slow for
    many rows of few channels; there the passes are written down. Once differentiable.

    Args:
        x: (N, C, *).
        weight: gamma, (C,).
        bias: beta, (C,).
        eps: added to the variance.
    """
    wide = torch.float32 if x.dtype in _HALF else x.dtype
    values, weight, bias = (value.to(wide) for value in (x, weight, bias))
    if torch.compiler.is_compiling():  # the compiler fuses the equations by itself
        return reference.channel_layer_norm(values, weight, bias, eps).to(x.dtype)
    if (
        values.device.type == "cpu"
        and values.is_contiguous()
        and math.prod(values.shape[2:]) > _FEW_POSITIONS
    ):
        y: torch.Tensor = _ChannelLayerNorm.apply(values, weight, bias, eps)
    else:
        y = F.layer_norm(values.movedim(1, -1), weight.shape, weight, bias, eps).movedim(-1, 1)
        y = y.contiguous() if x.is_contiguous() else y
    return y.to(x.dtype)


class _ChannelLayerNorm(torch.autograd.Function):
    """Of contiguous x."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
    ) -> torch.Tensor:
        rows = x.view(*x.shape[:2], math.prod(x.shape[2:]))
        normalized = rows - rows.mean(1, keepdim=True)
        result = torch.empty_like(
            x
        )  # returned itself: autograd forbids in-place changes of a view from in here
        y = torch.mul(normalized, normalized, out=result.view(rows.shape))
        rstd = y.mean(1, keepdim=True).add_(eps).rsqrt_()
        normalized.mul_(rstd)
        torch.mul(normalized, weight.view(1, -1, 1), out=y).add_(bias.view(1, -1, 1))
        ctx.save_for_backward(normalized, weight, rstd)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        normalized, weight, rstd = ctx.saved_tensors
        shape, dy = dy.shape, dy.reshape(normalized.shape)
        dx = torch.mul(dy, normalized)
        dweight, dbias = dx.sum((0, 2)), dy.sum((0, 2))
        # Means over the channels of weight * dy and of weight * dy * normalized, (N, 1, positions).
        by_channel = weight / len(weight)
        pull, mean = (torch.matmul(by_channel, maps).unsqueeze(1) for maps in (dx, dy))
        torch.mul(dy, weight.view(1, -1, 1), out=dx)
        dx.sub_(mean).addcmul_(normalized, pull, value=-1).mul_(rstd)
        return dx.view(shape), dweight, dbias, None
