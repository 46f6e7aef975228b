"""EvoNorm-S0 as a module."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from gnexp.nn.grouping import GroupedNormAct, grouped_factory
from gnexp.nn.kinds.evonorm import EvoNormS0Config
from gnexp.nn.norm_act import NormFactory
from gnexp.ops.evonorm import evonorm_s0


class EvoNormS0Act(GroupedNormAct):
    """EvoNorm-S0: x sigmoid(v x) / std(x) * gamma + beta, which is norm and activation in one.

    It takes the place of a norm with its ReLU. Where no nonlinearity is to follow, and before a residual sum, it is
    gamma and beta alone, without v, as in its authors' code (`nonlinearity: if False, apply an affine transform only`);
    a ReLU follows the sum. Their networks normalize the sum at the next block's start, ours behind each block's first
    convolution; that code refuses blocks such as ours, so what EvoNorm gives here is not the paper's number. With gamma
    0 a block starts as the ReLU of its input, the identity behind another block. Recipes' norm_weight_decay covers v as
    it covers gamma and beta: the authors' code decays none of them, which is norm_weight_decay=0.

    Source: Liu et al. 2020 (arXiv:2004.02967); for residual sums github.com/tensorflow/tpu,
    models/official/resnet/resnet_model.py (evonorm, bottleneck_block). Arguments as GroupedNormAct's.
    """

    def __init__(
        self,
        channels: int,
        *,
        num_groups: int | None,
        channels_per_group: int | None,
        eps: float,
        relu: bool,
    ) -> None:
        super().__init__(
            channels, num_groups=num_groups, channels_per_group=channels_per_group, eps=eps, relu=relu
        )
        self.v = nn.Parameter(torch.ones(channels)) if relu else None

    def before_sum(self) -> EvoNormS0Act:
        super().before_sum()
        self.v = None  # nothing would use it
        return self

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        weight, bias = self.affine(x)
        if self.v is None or residual is not None:
            # Of torch's ways to a fixed map per channel this has the fastest gradients: a batch norm in evaluation.
            mean, variance = torch.zeros_like(weight), torch.ones_like(weight)
            y = F.batch_norm(x, mean, variance, weight, bias, False, 0.0, 0.0)
            return self.add_and_relu(y, residual, x.shape)
        self.check_values(x)
        return evonorm_s0(x, self.num_groups, self.v, weight, bias, self.eps)


def build_evonorm_s0(config: EvoNormS0Config, workers: int) -> NormFactory:
    """The factory of EvoNorms; a sample's statistics are its own, whatever the workers."""
    return grouped_factory(EvoNormS0Act, config)
