"""The factories that models take, of whatever kind the norm is."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from gnexp.config import NormConfig
from gnexp.config.kinds import import_text
from gnexp.nn.norm_act import ConvFactory, NormAct, NormFactory


def norm_factory(config: NormConfig, workers: int) -> NormFactory:
    """The factory of a configured norm.

    Args:
        config: the norm.
        workers: virtual workers whose statistics batch normalization keeps apart.
    """
    build: Callable[[NormConfig, int], NormFactory] = import_text(config.builder)
    return build(config, workers)


def fitting_norm_factory(config: NormConfig, workers: int) -> NormFactory:
    """The factory for a network whose channels were not made for groups: each layer has as many as fit it.

    Arguments as norm_factory's.
    """

    def make(channels: int, *, relu: bool = True) -> NormAct:
        return norm_factory(config.fitting(channels), workers)(channels, relu=relu)

    return make


def conv_factory(config: NormConfig) -> ConvFactory:
    """The factory of the convolutions that a configured norm follows: the identity for most norms."""
    build: Callable[[NormConfig], ConvFactory] = import_text(config.conv_builder)
    return build(config)


def name_norms(model: nn.Module) -> None:
    """Tells each norm its name in the model and checks that it fits there.

    Raises:
        ValueError: an impossible grouping, naming the layer, C and G.
    """
    for name, module in model.named_modules():
        if isinstance(module, NormAct):
            module.name = name
            module.check()
