"""The factories that models take, of whatever kind the norm is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from gnexp.config import NormConfig
from gnexp.config.kinds import import_text, package_of
from gnexp.nn.norm_act import ConvFactory, NormAct, NormFactory, plain_conv


def norm_factory(config: NormConfig, workers: int) -> NormFactory:
    """The factory of a configured norm.

    Args:
        config: the norm.
        workers: virtual workers whose statistics batch normalization keeps apart.

    Raises:
        ValueError: the builder of a package's norm does not import, or gives no factory; so does the factory where it
            gives no layer.
    """
    kind, text = config.kind, config.builder
    build = import_builder(kind, text)
    factory: NormFactory = call_builder(kind, text, build, Callable, config, workers)  # type: ignore[arg-type]
    if not package_of(kind):
        return factory

    def make(channels: int, *, relu: bool = True) -> NormAct:
        norm: NormAct = call_builder(kind, f"the factory of {text}", factory, NormAct, channels, relu=relu)
        return norm

    return make


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
        ValueError: as norm_factory.
    """
    kind, text = config.kind, config.conv_builder
    build = import_builder(kind, text)
    factory: ConvFactory = call_builder(kind, text, build, Callable, config)  # type: ignore[arg-type]
    if factory is plain_conv or not package_of(kind):
        return factory

    def make(conv: nn.Module) -> nn.Module:
        new: nn.Module = call_builder(kind, f"the factory of {text}", factory, nn.Module, conv)
        return new

    return make


def import_builder(kind: str, text: str) -> Any:
    """What a kind's config names as module:name.

    Raises:
        ValueError: that of a package's norm does not import.
    """
    try:
        return import_text(text)
    except Exception as error:  # of a stranger's module, which may raise anything
        if not package_of(kind):
            raise
        raise _fault(kind, f"{text} does not import ({_line(error)})") from error


def call_builder(
    kind: str, text: str, build: Callable[..., Any], gives: type, *args: Any, **given: Any
) -> Any:
    """What a kind's builder gives for these arguments.

    Args:
        kind: of the norm.
        text: what the builder is called.
        build: the builder.
        gives: what it has to give.
        args: its arguments.
        given: likewise.

    Raises:
        ValueError: that of a package's norm raises something else, or gives something else. Its own ValueErrors, which
            are of values, go as they are.
    """
    if not package_of(kind):
        return build(*args, **given)
    try:
        made = build(*args, **given)
    except ValueError:
        raise
    except Exception as error:  # of a stranger's code
        raise _fault(kind, f"{text} ends with {_line(error)}") from error
    if not isinstance(made, gives):
        raise _fault(kind, f"{text} must give a {gives.__name__}, got {type(made).__name__}")
    return made


def _fault(kind: str, what: str) -> ValueError:
    return ValueError(
        f"norm {kind} of package {package_of(kind)} cannot be built: {what}; mend the package or choose another norm"
    )


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def name_norms(model: nn.Module) -> None:
    """Tells each norm its name in the model and checks that it fits there.

    Raises:
        ValueError: an impossible grouping, naming the layer, C and G.
    """
    for name, module in model.named_modules():
        if isinstance(module, NormAct):
            module.name = name
            module.check()
