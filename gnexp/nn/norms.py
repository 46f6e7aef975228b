"""The factories that models take, of whatever kind the norm is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from gnexp.config import NormConfig
from gnexp.config.kinds import import_text, package_of
from gnexp.nn.norm_act import ConvFactory, NormAct, NormFactory


def norm_factory(config: NormConfig, workers: int) -> NormFactory:
    """The factory of a configured norm.

    Args:
        config: the norm.
        workers: virtual workers whose statistics batch normalization keeps apart.

    Raises:
        ValueError: the builder of a package's norm does not import.
    """
    build: Callable[[NormConfig, int], NormFactory] = _import_builder(config.kind, config.builder)
    return build(config, workers)


def fitting_norm_factory(config: NormConfig, workers: int) -> NormFactory:
    """The factory for a network whose channels were not made for groups: each layer has as many as fit it.

    Arguments as norm_factory's.
    """

    def make(channels: int, *, relu: bool = True) -> NormAct:
        return norm_factory(config.fitting(channels), workers)(channels, relu=relu)

    return make


def conv_factory(config: NormConfig) -> ConvFactory:
    """The factory of the convolutions that a configured norm follows: the identity for most norms.

    Raises:
        ValueError: the builder of a package's norm does not import.
    """
    build: Callable[[NormConfig], ConvFactory] = _import_builder(config.kind, config.conv_builder)
    return build(config)


def _import_builder(kind: str, text: str) -> Any:
    try:
        return import_text(text)
    except Exception as error:  # of a stranger's module, which may raise anything
        if not (package := package_of(kind)):
            raise
        raise ValueError(
            f"norm {kind} of package {package} cannot be built: {text} does not import "
            f"({type(error).__name__}: {' '.join(str(error).split())}); mend the package or choose another norm"
        ) from error


def name_norms(model: nn.Module) -> None:
    """Tells each norm its name in the model and checks that it fits there.

    Raises:
        ValueError: an impossible grouping, naming the layer, C and G.
    """
    for name, module in model.named_modules():
        if isinstance(module, NormAct):
            module.name = name
            module.check()
