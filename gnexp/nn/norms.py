"""The norms, found by their kind, and the factory that models take."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import nn

from gnexp.config import NormConfig
from gnexp.nn.batch_norm import BatchNormAct
from gnexp.nn.batch_renorm import BatchRenormAct
from gnexp.nn.frozen_bn import FrozenBatchNormAct
from gnexp.nn.norm_act import NormAct
from gnexp.ops.group_norm import group_norm

__all__ = [
    "NORMS",
    "GroupNormAct",
    "NoNormAct",
    "NormAct",
    "NormFactory",
    "name_norms",
    "norm_factory",
]


class NormFactory(Protocol):
    """What a model is given: channels -> module."""

    def __call__(self, channels: int, *, relu: bool = True) -> NormAct: ...


class NoNormAct(NormAct):
    """No normalization: the bias per channel that a convolution before a norm does without."""

    def __init__(self, channels: int, *, relu: bool) -> None:
        super().__init__(channels, relu=relu)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        return self.add_and_relu(x + self.bias.view(1, -1, *[1] * (x.dim() - 2)), residual, x.shape)


class GroupNormAct(NormAct):
    """Group normalization (Wu & He 2018, Eq. 7); LN with one group, IN with one channel per group.

    Args:
        channels: C.
        num_groups: G, or None where channels_per_group is given.
        channels_per_group: C / G, or None where num_groups is given.
        eps: added to the variance.
        relu: whether ReLU follows.
        impl: auto, fused or composed (`gnexp.ops.group_norm.choose_impl`).
    """

    def __init__(
        self,
        channels: int,
        *,
        num_groups: int | None,
        channels_per_group: int | None,
        eps: float,
        relu: bool,
        impl: str = "auto",
    ) -> None:
        super().__init__(channels, relu=relu)
        self._asked = f"G={num_groups}" if num_groups else f"C/G={channels_per_group}"
        self._fits = channels % (num_groups or channels_per_group or 1) == 0
        self.num_groups = num_groups or channels // (channels_per_group or channels)
        self.eps = eps
        self.impl = impl
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def check(self) -> None:
        """Raises ValueError where C is no multiple of G."""
        if not self._fits:
            divisors = ", ".join(str(d) for d in range(1, self.channels + 1) if self.channels % d == 0)
            raise ValueError(
                f"layer {self.name}: groups must divide its channels evenly, "
                f"got C={self.channels} and {self._asked}; possible: {divisors}"
            )

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        if math.prod(x.shape[1:]) == self.num_groups:
            raise ValueError(
                f"layer {self.name}: one value per group normalizes to nothing, got input {tuple(x.shape)} "
                f"and G={self.num_groups}; use fewer groups or larger images"
            )
        return group_norm(
            x, self.num_groups, self.weight, self.bias, self.eps, residual, self.relu, self.impl
        )

    def extra_repr(self) -> str:
        return f"{self.channels}, num_groups={self.num_groups}, eps={self.eps}, relu={self.relu}"


def _group_norm(config: NormConfig, workers: int) -> NormFactory:
    def make(channels: int, *, relu: bool = True) -> NormAct:
        return GroupNormAct(
            channels,
            num_groups=config.num_groups,
            channels_per_group=config.channels_per_group,
            eps=config.eps,
            relu=relu,
            impl=config.impl,
        )

    return make


def _batch_norm(config: NormConfig, workers: int) -> NormFactory:
    def make(channels: int, *, relu: bool = True) -> NormAct:
        assert config.momentum is not None, "checked by NormConfig"
        return BatchNormAct(channels, workers=workers, eps=config.eps, momentum=config.momentum, relu=relu)

    return make


def _batch_renorm(config: NormConfig, workers: int) -> NormFactory:
    def make(channels: int, *, relu: bool = True) -> NormAct:
        assert config.momentum is not None and config.r_max is not None, "checked by NormConfig"
        assert config.d_max is not None and config.renorm_ramp is not None, "checked by NormConfig"
        plain, d_reached, r_reached = config.renorm_ramp
        return BatchRenormAct(
            channels,
            workers=workers,
            eps=config.eps,
            momentum=config.momentum,
            r_max=config.r_max,
            d_max=config.d_max,
            ramp=(plain, d_reached, r_reached),
            relu=relu,
        )

    return make


def _frozen_batch_norm(config: NormConfig, workers: int) -> NormFactory:
    def make(channels: int, *, relu: bool = True) -> NormAct:
        return FrozenBatchNormAct(channels, eps=config.eps, relu=relu)

    return make


def _no_norm(config: NormConfig, workers: int) -> NormFactory:
    def make(channels: int, *, relu: bool = True) -> NormAct:
        return NoNormAct(channels, relu=relu)

    return make


NORMS: dict[str, Callable[[NormConfig, int], NormFactory]] = {
    "gn": _group_norm,
    "bn": _batch_norm,
    "brn": _batch_renorm,
    "frozen_bn": _frozen_batch_norm,
    "none": _no_norm,
}


def norm_factory(config: NormConfig, workers: int) -> NormFactory:
    """The factory of a configured norm.

    Args:
        config: the norm.
        workers: virtual workers whose statistics batch normalization keeps apart.

    Raises:
        ValueError: an unknown kind.
    """
    if config.kind not in NORMS:
        raise ValueError(f"norm.kind must be one of {', '.join(NORMS)}, got {config.kind}")
    return NORMS[config.kind](config, workers)


def name_norms(model: nn.Module) -> None:
    """Tells each norm its name in the model and checks that it can be had there.

    Raises:
        ValueError: an impossible grouping, naming the layer, C and G.
    """
    for name, module in model.named_modules():
        if isinstance(module, NormAct):
            module.name = name
            module.check()
