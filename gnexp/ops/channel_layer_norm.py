"""Layer normalization of the channels at each position, in whichever layout the map is."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from gnexp.ops import reference
from gnexp.ops.differentiable import is_transformed

_HALF = (torch.bfloat16, torch.float16)
_FEW_POSITIONS = (
    32  # up to which transposing a map twice costs less than further passes; measured (docs/log.md)
)


def channel_layer_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
    """LN(x) * weight + bias over the channels of each position; equal to `reference.channel_layer_norm`.

    A new tensor of x's dtype and layout. Statistics are taken in float32 at least. Where channels lie side by side it
    is torch's layer norm. A contiguous map would have to be transposed for that, twice, and torch's kernel is slow for
    many rows of few channels; there the passes are written down.

    Args:
        x: (N, C, *).
        weight: gamma, (C,).
        bias: beta, (C,).
        eps: added to the variance.
    """
    wide = torch.float32 if x.dtype in _HALF else x.dtype
    values, weight, bias = (value.to(wide) for value in (x, weight, bias))
    # The compiler fuses the equations by itself, and torch.func looks into nothing else.
    if torch.compiler.is_compiling() or is_transformed():
        return reference.channel_layer_norm(values, weight, bias, eps).to(x.dtype)
    if (
        values.device.type == "cpu"
        and values.is_contiguous()
        and math.prod(values.shape[2:]) > _FEW_POSITIONS
    ):
        y: torch.Tensor = _ChannelLayerNorm.apply(values, weight, bias, eps)[0]
    else:
        y = F.layer_norm(values.movedim(1, -1), weight.shape, weight, bias, eps).movedim(-1, 1)
        y = y.contiguous() if x.is_contiguous() else y
    return y.to(x.dtype)


class _ChannelLayerNorm(torch.autograd.Function):
    """Of contiguous x: the result, and the normalized x and 1/std of each position, (N, C or 1, positions).

    The latter two are what the gradients are computed from. They are given out so that a second gradient goes through
    them; x itself, which it could go through as well, need not be kept.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        ctx.set_materialize_grads(False)  # of normalized and rstd there are none as a rule
        rows = x.view(*x.shape[:2], math.prod(x.shape[2:]))
        normalized = rows - rows.mean(1, keepdim=True)
        result = torch.empty_like(
            x
        )  # returned itself: autograd forbids in-place changes of a view from in here
        y = torch.mul(normalized, normalized, out=result.view(rows.shape))
        rstd = y.mean(1, keepdim=True).add_(eps).rsqrt_()
        normalized.mul_(rstd)
        torch.mul(normalized, weight.view(1, -1, 1), out=y).add_(bias.view(1, -1, 1))
        ctx.shape = x.shape
        ctx.save_for_backward(normalized, weight, rstd)
        return result, normalized, rstd

    @staticmethod
    def backward(
        ctx: Any, dy: torch.Tensor | None, dnormalized: torch.Tensor | None, drstd: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, ...]:
        normalized, weight, rstd = ctx.saved_tensors
        if torch.is_grad_enabled() or dy is None or dnormalized is not None or drstd is not None:
            dx, *rest = _plain_backward(normalized, weight, rstd, dy, dnormalized, drstd)
            return dx.view(ctx.shape), *rest, None
        shape, dy = dy.shape, dy.reshape(normalized.shape)
        dx = torch.mul(dy, normalized)
        dweight, dbias = dx.sum((0, 2)), dy.sum((0, 2))
        # Means over the channels of weight * dy and of weight * dy * normalized, (N, 1, positions).
        by_channel = weight / len(weight)
        pull, mean = (torch.matmul(by_channel, maps).unsqueeze(1) for maps in (dx, dy))
        torch.mul(dy, weight.view(1, -1, 1), out=dx)
        dx.sub_(mean).addcmul_(normalized, pull, value=-1).mul_(rstd)
        return dx.view(shape), dweight, dbias, None


def _plain_backward(
    normalized: torch.Tensor,
    weight: torch.Tensor,
    rstd: torch.Tensor,
    dy: torch.Tensor | None,
    dnormalized: torch.Tensor | None,
    drstd: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """dx, dweight and dbias by operations that autograd knows, from gradients of all that the forward pass gave."""
    dx = torch.zeros_like(normalized)
    dweight = dbias = None
    if dy is not None:
        rows = dy.reshape(normalized.shape)
        dweight, dbias = (rows * normalized).sum((0, 2)), rows.sum((0, 2))
        scaled = rows * weight.view(1, -1, 1)
        dnormalized = scaled if dnormalized is None else dnormalized + scaled
    if dnormalized is not None:
        mean = dnormalized.mean(1, keepdim=True)
        dx = (dnormalized - mean - normalized * (dnormalized * normalized).mean(1, keepdim=True)) * rstd
    if drstd is not None:
        dx = dx - normalized * (rstd.square() * drstd / len(weight))
    return dx, dweight, dbias
