"""Batch normalization with frozen statistics: BN* of the paper's detection tables."""

from __future__ import annotations

from typing import Any

import torch

from gnexp.nn.kinds.frozen_bn import FrozenBatchNormConfig
from gnexp.nn.norm_act import NormAct, NormFactory


class FrozenBatchNormAct(NormAct):
    """A fixed affine map per channel, that of a trained batch normalization in evaluation.

    Nothing of it is trained and no statistics move, so everything is a buffer, by torchvision's names. Made to be
    loaded with trained weights; until then it is the identity, and a deep residual network explodes.

    Args:
        channels: C.
        eps: added to the variance.
        relu: whether ReLU follows.
    """

    weight: torch.Tensor  # (C,) each
    bias: torch.Tensor
    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, channels: int, *, eps: float, relu: bool) -> None:
        super().__init__(channels, relu=relu)
        self.eps = eps
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        per_channel = (1, -1, *[1] * (x.dim() - 2))
        # One call, of which the backward pass keeps the scale alone, where batch normalization's keeps x.
        y = torch.addcmul(shift.view(per_channel), x, scale.view(per_channel))
        return self.add_and_relu(y.to(x.dtype), residual, x.shape)

    def extra_repr(self) -> str:
        return f"{self.channels}, eps={self.eps}, relu={self.relu}"

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in ("running_mean", "running_var"):
            if prefix + name in state_dict and state_dict[prefix + name].dim() == 2:
                state_dict[prefix + name] = state_dict[prefix + name][0]  # (V, C): worker 0's serve
        state_dict.pop(f"{prefix}num_batches_tracked", None)  # counts what does not happen here
        super()._load_from_state_dict(state_dict, prefix, *args)


def build_frozen_bn(config: FrozenBatchNormConfig, workers: int) -> NormFactory:
    """The factory of frozen batch norms: there is one map, whatever the workers."""

    def make(channels: int, *, relu: bool = True) -> NormAct:
        return FrozenBatchNormAct(channels, eps=config.eps, relu=relu)

    return make
