"""Group normalization with residual sum and ReLU by torch's own operators."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def group_norm(
    x: torch.Tensor,
    num_groups: int,
    weight: torch.Tensor,
    bias: torch.Tensor,
    eps: float,
    residual: torch.Tensor | None = None,
    relu: bool = False,
) -> torch.Tensor:
    """relu(GN(x) weight + bias + residual) of checked arguments; x (N, C, *) in any layout."""
    is_channels_last = (
        x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    )
    # The native CPU kernel cancels catastrophically in channels_last (error 1e3 at mean/std 1000): go NCHW.
    y = x.contiguous() if weight.dtype == x.dtype else x.contiguous().float()
    y = F.group_norm(y, num_groups, weight, bias, eps).to(x.dtype)
    if is_channels_last:
        y = y.contiguous(memory_format=torch.channels_last)
    if residual is not None:
        y = y + residual
    return y.relu() if relu else y
