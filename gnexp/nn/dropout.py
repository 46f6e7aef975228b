"""Dropout (Srivastava et al. 2014) and stochastic depth whose masks are keyed by (seed, epoch, sample index)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from gnexp.nn.step import Step
from gnexp.ops import keyed

_RANGE = 2**32  # 32 bits decide for one element: half the time of 64, and p is met to 2e-10


class KeyedDropout(nn.Module):
    """Sets each element to 0 with probability p in training and scales the others by 1 / (1 - p).

    A mask belongs to its image and epoch: neither the order of a batch nor the number of processes changes it, and no
    global random state is used.

    Args:
        p: probability of 0, in [0, 1).
        stream: what keeps its masks apart from those of the model's other dropouts; its name there.
    """

    def __init__(self, p: float, *, stream: str) -> None:
        super().__init__()
        assert 0 <= p < 1, f"dropout's p must be in [0, 1), got {p}"
        self.p = p
        self.stream = stream
        self._step: Step | None = None

    def begin_step(self, step: Step) -> None:
        """Takes the step whose images the next forward pass gets, in its order."""
        self._step = step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # On the meta device there are shapes alone: no step and nothing to draw.
        if not self.training or self.p == 0 or x.is_meta:
            return x
        step = self._step
        assert step is not None, f"dropout {self.stream}: begin_step must come before a training forward pass"
        assert len(step.indices) == len(x), (
            f"dropout {self.stream}: begin_step was told of {len(step.indices)} images, got a batch of {len(x)}"
        )
        kept: torch.Tensor = self._kept(x, step)
        return x * kept / (1 - self.p)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _kept(self, x: torch.Tensor, step: Step) -> torch.Tensor:
        """1 where x stays, else 0, of its device and dtype. Left alone by torch.compile, which has no uint64."""
        shape = self._mask_shape(x)
        num = math.prod(shape[1:])
        bits = keyed.bits(step.seed, f"dropout/{self.stream}", step.epoch, step.indices, (num + 1) // 2)
        # Named byte orders: the two halves of each draw are the same on every machine.
        halves = bits.astype("<u8", copy=False).view("<u4")[:, :num]
        kept = torch.from_numpy(halves >= np.uint32(self.p * _RANGE)).view(shape)
        return kept.to(x.device, x.dtype)

    def _mask_shape(self, x: torch.Tensor) -> torch.Size:
        """Of what is drawn for x."""
        return x.shape

    def extra_repr(self) -> str:
        return f"p={self.p}, stream={self.stream}"


class KeyedDropPath(KeyedDropout):
    """Stochastic depth (Huang et al. 2016): drops a residual branch of whole images, by one draw each.

    Arguments as KeyedDropout's.
    """

    def _mask_shape(self, x: torch.Tensor) -> torch.Size:
        return torch.Size([len(x), *[1] * (x.dim() - 1)])
