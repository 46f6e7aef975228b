"""Gives anybody's network another norm."""

from __future__ import annotations

import logging
from typing import Any, TypeVar

import torch
from torch import nn

from gnexp.config.fields import require
from gnexp.config.keys import did_you_mean
from gnexp.config.kinds import classes_of, offers
from gnexp.config.norm import NormConfig
from gnexp.library.building import conv_of, make_of
from gnexp.library.conversion import Conversion, ConvertedLayer
from gnexp.library.convolutions import (
    check_convolutions,
    check_restorable,
    convolutions_before_norms,
    replace_convolutions,
    restore_convolutions,
)
from gnexp.library.grouping import Grouping, grouping_of
from gnexp.nn.replacing import Replaced, replace_norms

_M = TypeVar("_M", bound=nn.Module)

# The paper's identities (Section 3.1), as num_groups and channels_per_group: LN is one group, IN one channel per group.
_IDENTITIES: dict[str, tuple[int | None, int | None]] = {"ln": (1, None), "in": (None, 1)}
_REPORT = "_gnexp_conversion"

_log = logging.getLogger("gnexp")


def convert(
    model: _M,
    norm: str = "gn",
    *,
    num_groups: int | None = None,
    channels_per_group: int | None = None,
    strict: bool = False,
    **options: Any,
) -> _M:
    """Replaces every batch norm of a model by another norm, in place, and returns the model.

    BatchNorm1d, 2d and 3d, SyncBatchNorm, torchvision's FrozenBatchNorm2d and timm's BatchNormAct2d are replaced; the
    last one's activation stays. So are gnexp's own norms: a converted model can be converted again. A shared norm is
    replaced once. Weight and bias stay the same parameters; running
    statistics are dropped. What was done is logged (by the logger `gnexp`), and `gnexp.converted(model)` tells it. A
    model that is a batch norm itself stays as it is: the new norm is returned. So does torch's convert_sync_batchnorm.

    Args:
        model: any network.
        norm: gn, ln, in, gn_ws, grms, ln2d, frn, evonorm_s0, bn (ghost batch norm), brn, none, or a kind that an
            installed package adds.
        num_groups: G; 32 unless channels_per_group is given. A layer whose channels it does not divide gets the largest
            number below it that does and leaves two channels a group; so does one of 32 channels, unless 32 is given.
        channels_per_group: C / G instead. A layer whose channels it does not divide gets the largest number below it
            that does, from two on, else the next above.
        strict: layers that would get another number of groups are refused.
        options: further arguments of the new norms: eps of all, momentum and workers of bn and brn. These two keep the
            old norms' eps, momentum and workers, where none is given; others have their own eps.

    Raises:
        ValueError: an unknown norm or option, a model without batch norm, or a layer that cannot be converted, by its
            name. The model is then as it was.
    """
    is_network = isinstance(model, nn.Module) and not isinstance(model, torch.jit.ScriptModule)
    require(
        is_network,
        f"model must be a torch.nn.Module that is not compiled to TorchScript, got {_in_short(model)}",
    )
    require(isinstance(norm, str), f"norm must be a norm's name, such as 'gn', got {_in_short(norm)}")
    kind = "gn" if norm in _IDENTITIES else norm
    config = _config_of(kind)
    meant = _IDENTITIES.get(norm, (None, None))
    grouping = grouping_of(norm, config, meant, num_groups, channels_per_group, strict)
    make = make_of(norm, config, grouping, options)
    wants_other_convolutions = config.conv_builder != NormConfig.conv_builder
    convolutions = convolutions_before_norms(model) if wants_other_convolutions else {}
    make_convolution = conv_of(config, grouping)
    check_convolutions(convolutions, make_convolution)
    before = getattr(model, _REPORT, None)
    check_restorable(model, before.standardized if before else ())
    new, replaced = replace_norms(model, make, keeps_act=not config.own_activation)
    require(
        bool(replaced),
        f"{type(model).__name__} has no batch norm for norm={norm} to replace; its norms are {_norms_of(model)}",
    )
    restore_convolutions(new)
    standardized = replace_convolutions(new, convolutions, make_convolution)
    conversion = Conversion(norm, tuple(_describe(one, grouping) for one in replaced), tuple(standardized))
    for module in new.modules():
        vars(module).pop(_REPORT, None)  # of a part that was converted before
    setattr(new, _REPORT, conversion)
    is_expected = not (conversion.misfits or conversion.frozen)
    _log.log(logging.INFO if is_expected else logging.WARNING, conversion.summary)
    for layer in conversion.layers:
        _log.debug(layer)
    return new  # type: ignore[return-value]


def converted(model: nn.Module) -> Conversion:
    """What `gnexp.convert` has done to a model.

    Raises:
        ValueError: nothing.
    """
    found = getattr(model, _REPORT, None)
    if not isinstance(found, Conversion):
        raise ValueError(f"this {type(model).__name__} is not what gnexp.convert has returned")
    return found


def _config_of(kind: str) -> type[NormConfig]:
    """The class of a kind's fields, for its traits."""
    kinds, faults = classes_of(NormConfig.group), offers().faults
    require(kind not in faults, faults.get(kind, ""))
    known = [*kinds, *_IDENTITIES]
    require(kind in kinds, f"norm must be one of {', '.join(known)}, got {kind}{did_you_mean(kind, known)}")
    config: type[NormConfig] = kinds[kind]
    require(
        config.freezes is None,
        f"norm={kind} holds the statistics of a trained batch norm fixed, and conversion drops them; "
        "torchvision.ops.FrozenBatchNorm2d keeps them",
    )
    require(
        config.statistics_over != "all_workers",
        f"norm={kind} is torch's own: torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)",
    )
    return config


def _describe(replaced: Replaced, grouping: Grouping | None) -> ConvertedLayer:
    name, channels = replaced.name, replaced.channels
    return ConvertedLayer(
        name,
        channels,
        replaced.old,
        type(replaced.new).__name__,
        None if grouping is None else grouping.num_of(name, channels),
        "" if grouping is None else grouping.misfit(channels),
        replaced.names[1:],
        replaced.was_frozen,
    )


def _in_short(given: object) -> str:
    return f"a {type(given).__name__}"


def _norms_of(model: nn.Module) -> str:
    """The norms of a model in words: LayerNorm (25)."""
    leaves = [type(module).__name__ for module in model.modules() if not module._modules]
    names = [name for name in leaves if "Norm" in name]
    return ", ".join(f"{name} ({names.count(name)})" for name in dict.fromkeys(names)) or "none"
