"""1x1 convolutions with a stride, by the way that is fast on the device at hand."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class StridedPointwise(nn.Conv2d):
    """A 1x1 convolution with a stride, without padding: it reads every stride-th pixel and no other."""

    def _conv_forward(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if x.is_cuda:
            return super()._conv_forward(x, weight, bias)  # type: ignore[no-any-return]
        # oneDNN takes twice as long for the strided convolution, most of it in the gradients (docs/log.md).
        assert bias is None and self.padding == (0, 0), "a pointwise convolution has neither"
        rows, columns = self.stride
        return F.conv2d(x[:, :, ::rows, ::columns], weight)


class StridedPointwise3d(nn.Conv3d):
    """StridedPointwise of each frame."""

    def _conv_forward(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if x.is_cuda:
            return super()._conv_forward(x, weight, bias)  # type: ignore[no-any-return]
        assert bias is None, "a pointwise convolution before a norm has none"
        _, rows, columns = self.stride
        return F.conv3d(x[..., ::rows, ::columns], weight)
