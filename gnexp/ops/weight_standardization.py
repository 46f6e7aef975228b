"""Weight standardization of a convolution's weight in one native call."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def standardize(weight: torch.Tensor, eps: float) -> torch.Tensor:
    """Each output channel's weights with mean 0 and variance 1 (Qiao et al. 2019), a new tensor.

    It is layer normalization of each output channel's row, for which torch has one kernel either way. Statistics are
    float32 at least, and so is the result: half a weight's digits would be lost between here and the convolution.

    Args:
        weight: (channels_out, channels_in / groups, *).
        eps: added to the variance.
    """
    wide = weight.float() if weight.dtype in (torch.bfloat16, torch.float16) else weight
    rows = wide.flatten(1)
    return F.layer_norm(rows, rows.shape[1:], eps=eps).view(weight.shape)
