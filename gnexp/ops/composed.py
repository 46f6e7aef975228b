"""Group normalization, residual add and ReLU of torch's own kernels: the path for a CPU, and wherever Triton is not.

On a CPU it is torch's NCHW kernel, then add and ReLU in place. Torch's channels_last kernel cancels (an error of 1e3
at mean/std 1000), so channels_last goes through NCHW and back. The NCHW kernel's backward sums dy * x uncentered: far
from zero, on a large map, the gradients drown (an error of 4e-2 of the largest one at mean/std 1000 and 112^2 pixels),
and a backward over centred values takes its place. Forward bits are the native kernel's everywhere.

Fewer passes than these do not pay in torch's operations: what was tried stands in docs/log.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from gnexp.ops import reference
from gnexp.ops.differentiable import gradients, is_transformed
from gnexp.ops.layout import layout_of

HALF = (torch.bfloat16, torch.float16)
FAR = 10.0  # mean/std up to which the native backward is off by at most 3e-4 of the largest gradient, on any map
# Values per channel up to which it is off by at most 1e-3 at mean/std 1000, by 5e-3 where dy has a mean of its own; to
# look at the mean costs 15 to 35 microseconds a call, which is too much there.
LARGE_MAP = 1024
# Values per channel at which the native backward takes several times as long as it should.
SLOW_MAPS = range(2, 8)
MANY_ROWS = 4096  # N * C from which that costs more than the centered backward's additional calls

Gradients = tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]


def group_norm(
    x: torch.Tensor,
    num_groups: int,
    weight: torch.Tensor,
    bias: torch.Tensor,
    eps: float,
    residual: torch.Tensor | None = None,
    relu: bool = False,
) -> torch.Tensor:
    """relu(GN(x) * weight + bias + residual), in x's dtype and, of contiguous and channels_last, in x's format.

    Statistics of bfloat16 and float16 are taken in float32.

    Args:
        x: (N, C, *), with at least one value per channel.
        num_groups: G; C must be a multiple of it.
        weight: gamma, (C,), of x's dtype or float32.
        bias: beta, like weight.
        eps: added to the variance.
        residual: like x, in any memory format; left as it is.
        relu: whether ReLU follows.
    """
    wide = torch.float32 if x.dtype in HALF else x.dtype
    if (
        weight.dtype != wide or bias.dtype != wide
    ):  # a call costs a small map's normalization a tenth of its time
        weight, bias = weight.to(wide), bias.to(wide)
    if is_transformed():
        return _of_a_transform(x.to(wide), num_groups, weight, bias, eps, residual, relu).to(x.dtype)
    if x.device.type != "cpu":
        y = F.group_norm(x.to(wide).contiguous(), num_groups, weight, bias, eps)
    elif torch.compiler.is_compiling():
        # Opaque to the compiler, whose own group norm is slower on a CPU and would bring the uncentered sums back.
        y, _, _ = normalize(x.contiguous(), weight, bias, num_groups, eps)
    else:
        y = _normalize(x.contiguous(), weight, bias, num_groups, eps)
    # In place: y is new, and no backward reads it.
    if residual is not None:
        y = y.add_(residual)
    if relu:
        y = y.relu_()
    if y.dtype != x.dtype:
        y = y.to(x.dtype)
    return y if x.is_contiguous() else y.contiguous(memory_format=layout_of(x))


def _of_a_transform(
    x: torch.Tensor,
    num_groups: int,
    weight: torch.Tensor,
    bias: torch.Tensor,
    eps: float,
    residual: torch.Tensor | None,
    relu: bool,
) -> torch.Tensor:
    """What torch.func can look into: nothing in place, nothing that asks for values, gradients that are autograd's."""
    if not _is_plain(x):
        return reference.group_norm(x, num_groups, weight, bias, eps, residual, relu)
    y = torch.group_norm(x.contiguous(), num_groups, weight, bias, eps)
    if residual is not None:
        y = y + residual
    return y.relu() if relu else y


def _normalize(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, num_groups: int, eps: float
) -> torch.Tensor:
    """GN(x) * weight + bias of contiguous x."""
    if _is_plain(x):
        return torch.group_norm(x, num_groups, weight, bias, eps)
    y, mean, rstd = _native(x, weight, bias, num_groups, eps)
    if not y.requires_grad or _is_near(x, mean, rstd):
        return y
    centered: torch.Tensor = _CenteredBackward.apply(
        y.detach(), x, weight, bias, mean.detach(), rstd.detach(), eps
    )
    return centered


def _native(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, num_groups: int, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """y, mean and 1/std, the latter both (N, G), by torch's kernel for contiguous x."""
    num_images, channels = x.shape[:2]
    values = math.prod(x.shape[2:])
    return torch.native_group_norm(x, weight, bias, num_images, channels, values, num_groups, eps)


def _is_plain(x: torch.Tensor) -> bool:
    """Whether torch's backward is right and fast for every x of this shape."""
    values = math.prod(x.shape[2:])
    if values in SLOW_MAPS and x.dtype not in HALF:
        return x.shape[0] * x.shape[1] < MANY_ROWS
    return values <= LARGE_MAP or x.shape[0] == 0


@torch.no_grad()
def _is_near(x: torch.Tensor, mean: torch.Tensor, rstd: torch.Tensor) -> bool:
    """Whether torch's backward is right and fast for this x, of a shape that is not plain; mean and rstd are (N, G)."""
    # So written, NaN is near: it passes through either backward.
    return math.prod(x.shape[2:]) > LARGE_MAP and not (mean * rstd).abs_().max().item() > FAR


class _CenteredBackward(torch.autograd.Function):
    """y as it is; its gradients over centered values."""

    @staticmethod
    def forward(
        ctx: Any,
        y: torch.Tensor,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        mean: torch.Tensor,
        rstd: torch.Tensor,
        eps: float,
    ) -> torch.Tensor:
        ctx.mark_dirty(y)
        ctx.eps = eps
        ctx.save_for_backward(x, weight, mean, rstd)
        return y

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return None, *_backward(ctx, dy, _centered_backward), None, None, None


def _backward(ctx: Any, dy: torch.Tensor, call: Callable[..., Gradients]) -> Gradients:
    """dx, dweight and dbias by `call`, or where they are to be differentiated again (create_graph=True) by autograd."""
    x, weight, mean, rstd = ctx.saved_tensors
    if not torch.is_grad_enabled():
        return call(dy, x, weight, mean, rstd)

    def equations(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return reference.group_norm(x.to(weight.dtype), mean.shape[1], weight, bias, ctx.eps).to(dy.dtype)

    # No gradient depends on the bias, so none is saved.
    dx, dweight, dbias = gradients(equations, (x, weight, torch.zeros_like(weight, requires_grad=True)), dy)
    return dx, dweight, dbias


def _centered_backward(
    dy: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, mean: torch.Tensor, rstd: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """dx, dweight and dbias of contiguous x, from sums over centred values; mean and rstd are (N, G).

    The mean was rounded when it was saved, to 3e-5 of a std at mean/std 1000: what is left of it is removed here.
    """
    num_images, channels = x.shape[:2]
    values = math.prod(x.shape[2:])
    by_image, by_group = (num_images, channels * values), (mean.numel(), -1)
    dy_wide = dy.reshape(by_image).to(mean.dtype)
    centred = x.reshape(by_group) - mean.view(-1, 1)
    rest = centred.mean(1)
    # Scaled as whole rows of an image: a scale per channel would be a loop of few values each.
    scaled = dy_wide * weight.view(-1, 1).expand(channels, values).reshape(-1)
    # Group normalization of N images is batch normalization of one image with N * G channels.
    dx, _, _ = torch.ops.aten.native_batch_norm_backward.default(
        scaled.view(1, *by_group),
        centred.view(1, *by_group),
        None,
        None,
        None,
        rest,
        rstd.view(-1),
        True,
        0.0,
        [True, False, False],
    )
    normalized = centred.sub_(rest.view(-1, 1)).mul_(rstd.view(-1, 1)).view(by_image)
    dweight = normalized.mul_(dy_wide).sum(0).view(channels, values).sum(1)
    dbias = dy_wide.sum(0).view(channels, values).sum(1)
    return dx.view(x.shape).to(x.dtype), dweight, dbias


@torch.library.custom_op("gnexp::composed_group_norm", mutates_args=(), device_types="cpu")
def normalize(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, num_groups: int, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """y, mean and 1/std as one operation that torch.compile leaves alone.

    Eager code does without: as an operation of its own it costs more per call than a small map's normalization.
    """
    return _native(x.contiguous(), weight, bias, num_groups, eps)


@normalize.register_fake
def _(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, num_groups: int, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    statistics = weight.new_empty(x.shape[0], num_groups)
    return torch.empty_like(x), statistics, torch.empty_like(statistics)


@torch.library.custom_op("gnexp::composed_group_norm_backward", mutates_args=(), device_types="cpu")
def normalize_backward(
    dy: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, mean: torch.Tensor, rstd: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """dx, dweight and dbias of `normalize`."""
    x = x.contiguous()
    if not (_is_plain(x) or _is_near(x, mean, rstd)):
        return _centered_backward(dy, x, weight, mean, rstd)
    num_images, channels = x.shape[:2]
    sizes = num_images, channels, math.prod(x.shape[2:]), mean.shape[1]
    dx, dweight, dbias = torch.ops.aten.native_group_norm_backward.default(
        dy.contiguous(), x, mean, rstd, weight, *sizes, [True, True, True]
    )
    return dx, dweight, dbias


@normalize_backward.register_fake
def _(
    dy: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, mean: torch.Tensor, rstd: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
    x, weight, _, _, ctx.eps = inputs
    _, mean, rstd = output
    ctx.save_for_backward(x, weight, mean, rstd)


def _differentiate(ctx: Any, dy: torch.Tensor, *_: Any) -> tuple[torch.Tensor | None, ...]:
    return *_backward(ctx, dy, normalize_backward), None, None


normalize.register_autograd(_differentiate, setup_context=_save)
