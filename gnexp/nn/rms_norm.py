"""Norms that divide by a root mean square: over groups of channels, and filter response normalization."""

from __future__ import annotations

import math

import torch
from torch import nn

from gnexp.nn.grouping import GroupedNormAct, grouped_factory
from gnexp.nn.kinds.rms_norm import FilterResponseNormConfig, GroupRMSNormConfig
from gnexp.nn.norm_act import NormAct, NormFactory
from gnexp.ops.rms import rms_norm


class GroupRMSNormAct(GroupedNormAct):
    """Divides each group of channels of a sample by its root mean square; no mean is subtracted.

    Group normalization's groups (Wu & He 2018, Eq. 7) with the statistic of root mean square normalization (Zhang &
    Sennrich 2019, Eq. 4). Arguments as GroupedNormAct's.
    """

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        self.check_values(x)
        return rms_norm(x, self.num_groups, *self.affine(x), self.eps, residual, self.relu)


class FilterResponseNormAct(NormAct):
    """Filter response normalization and its thresholded linear unit: max(x / rms(x) * gamma + beta, tau).

    The root mean square is that of one channel of one sample. The unit stands where a ReLU would, so it comes behind
    the residual sum; without ReLU there is none, and no tau. The paper's ResNets normalize before each convolution and
    have no such sum; this is what another author's ResNet with our blocks does. With gamma 0 a block starts as the
    identity above tau, which starts at 0: as with ReLU. Recipes' norm_weight_decay covers tau as it covers gamma and
    beta, of which the paper excepts none.

    A map of one value would become its sign. The paper learns an eps for those; the networks here have none, so they
    are refused.

    Source: Singh & Krishnan 2019 (arXiv:1911.09737), Section 3; for residual sums
    github.com/ppwwyyxx/FRN-on-common-ImageNet-baseline, resnet_model.py.

    Args:
        channels: C.
        eps: added to the mean square.
        relu: whether the thresholded linear unit follows.
    """

    def __init__(self, channels: int, *, eps: float, relu: bool) -> None:
        super().__init__(channels, relu=relu)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.tau = nn.Parameter(torch.zeros(channels)) if relu else None

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        if math.prod(x.shape[2:]) == 1:
            raise ValueError(
                f"{self.where}filter response normalization makes one value per channel its sign, "
                f"got input {tuple(x.shape)}; use larger images or another norm="
            )
        return rms_norm(x, self.channels, *self.affine(x), self.eps, residual, threshold=self.tau)

    def extra_repr(self) -> str:
        return f"{self.channels}, eps={self.eps}, relu={self.relu}{self.affine_words}"


def build_group_rms_norm(config: GroupRMSNormConfig, workers: int) -> NormFactory:
    """The factory of root mean square norms; a sample's statistics are its own, whatever the workers."""
    return grouped_factory(GroupRMSNormAct, config)


def build_filter_response_norm(config: FilterResponseNormConfig, workers: int) -> NormFactory:
    """The factory of filter response norms; a sample's statistics are its own, whatever the workers."""

    def make(channels: int, *, relu: bool = True) -> NormAct:
        return FilterResponseNormAct(channels, eps=config.eps, relu=relu)

    return make
