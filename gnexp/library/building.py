"""Builds the norms that take the place of somebody's batch norms."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Container, Mapping
from typing import Any

from torch import nn

from gnexp.config.arguments import check_type
from gnexp.config.fields import check_bounds, hints_of, require
from gnexp.config.keys import did_you_mean
from gnexp.config.norm import NormConfig, norm_config
from gnexp.library.arguments import check_arguments
from gnexp.library.grouping import Grouping
from gnexp.library.sample_norms import GroupNorm
from gnexp.nn.norm_act import ConvFactory, NormAct, plain_conv
from gnexp.nn.norms import call_builder, conv_factory, import_builder, norm_factory
from gnexp.nn.replaceable import act_of, has_act, has_affine, in_words
from gnexp.nn.replacing import Make

# What conversion itself says of a norm, so that no option may.
_DECIDED = {"num_groups", "channels_per_group", "num_channels", "num_features", "kind", "impl"} | {
    "affine",
    "bias",
    "relu",
    "device",
    "dtype",
}


def make_of(norm: str, config: type[NormConfig], grouping: Grouping | None, options: dict[str, Any]) -> Make:
    """What builds a new norm from an old one.

    Args:
        norm: as the user named it.
        config: of the norm's kind.
        grouping: None of a norm without groups.
        options: further arguments of the norms.

    Raises:
        ValueError: an option that the norm does not take, or a package's norm that cannot be built.
    """
    cls: type = config
    kind: str = config.kind
    module: Callable[..., Any] | None = import_builder(kind, config.module) if config.module else None
    takes = hints_of(cls) if module is None else _parameters(config, module)
    possible = [key for key in takes if key not in _DECIDED]
    is_grouped = grouping is not None and not grouping.is_of_name
    known = [*(("num_groups", "channels_per_group") if is_grouped else ()), *possible]
    for key, value in options.items():
        words = ", ".join(known) or "no options"
        near = did_you_mean(key, [*known, "strict"])
        require(key in possible, f"norm={norm} takes no {key}, got {value}; it takes {words}{near}")
        if module is None:
            check_type(key, value, takes[key])
        else:
            check_arguments(**{key: value})
        if key in (fields := {f.name: f for f in dataclasses.fields(cls)}):
            check_bounds(fields[key], key, value)

    def make(name: str, channels: int, old: nn.Module) -> nn.Module:
        groups = None if grouping is None else grouping.num_of(name, channels)
        relu = _activates(config, name, old)
        new: nn.Module
        if module is not None:
            affine = has_affine(old)
            numbers = (channels,) if groups is None else (groups, channels)
            kept = _constants(name, old, takes) if config.has_running_stats else {}
            arguments = {"affine": affine, "relu": relu, **kept, **options}
            try:
                new = call_builder(kind, str(config.module), module, nn.Module, *numbers, **arguments)
            except ValueError as error:
                raise ValueError(f"{in_words(name)}: {error}") from None
        else:
            given = options if groups is None else {"num_groups": groups, **options}
            new = norm_factory(norm_config(kind=kind, **given), workers=1)(channels, relu=relu)
        if isinstance(new, NormAct | GroupNorm):
            new.name = name  # for what it complains about
        if isinstance(new, NormAct):
            if isinstance(old, NormAct) and old.is_before_sum:
                new.before_sum()
            new.check()
        return new

    return make


def _parameters(config: type[NormConfig], module: Callable[..., Any]) -> Mapping[str, Any]:
    kind, text = config.kind, f"the signature of {config.module}"
    signature: inspect.Signature = call_builder(kind, text, inspect.signature, inspect.Signature, module)
    return signature.parameters


def conv_of(config: type[NormConfig], grouping: Grouping | None) -> ConvFactory:
    """What makes the convolutions that a norm wants before it."""
    if config.conv_builder == NormConfig.conv_builder:
        return plain_conv
    groups = {} if grouping is None else {"num_groups": grouping.num_groups or 1}
    return conv_factory(norm_config(kind=config.kind, **groups))


def _constants(name: str, old: nn.Module, takes: Container[str]) -> dict[str, float]:
    """What a norm over a batch keeps of the one before it; a frozen one has none of them to train with.

    Raises:
        ValueError: running statistics that are the mean of all batches.
    """
    if not hasattr(old, "momentum"):
        return {}
    if old.momentum is None:
        raise ValueError(
            f"{in_words(name)}: its momentum is None, the mean of all batches, and a norm over virtual workers has "
            "none such; set a number there"
        )
    keys = [key for key in ("eps", "momentum", "workers") if key in takes and hasattr(old, key)]
    return {key: getattr(old, key) for key in keys}


def _activates(config: type[NormConfig], name: str, old: nn.Module) -> bool:
    """Whether the new norm activates: with the activation that it has, in the old one's place, else with its ReLU.

    Raises:
        ValueError: the old norm leaves activation to the network, which would activate twice.
    """
    is_activating = has_act(old)
    if not config.own_activation:
        return bool(is_activating) and act_of(old) is None
    if is_activating is None:
        raise ValueError(
            f"{in_words(name)}: norm={config.kind} has an activation of its own, and {type(old).__name__} leaves it to "
            "the network; only norms that activate themselves, as timm's BatchNormAct2d, can become one"
        )
    return is_activating
