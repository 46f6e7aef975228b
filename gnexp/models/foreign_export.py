"""The Python that builds torchvision's network of an arch with the layers that a run's norms are in evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from gnexp.config import NormConfig
from gnexp.config.fields import value_of
from gnexp.models.foreign import ARGUMENTS, build_torchvision
from gnexp.models.kinds.foreign import ForeignConfig
from gnexp.nn.norm_act import NormAct
from gnexp.nn.norms import fitting_norm_factory

_RGB = 3


def torchvision_constructor(config: ForeignConfig, norm: NormConfig, num_classes: int) -> str:
    """The constructor, as it is or with a norm_layer.

    Tried first: it must have the run's names and shapes, and for each norm the layer with its groups and eps.

    Raises:
        ValueError: torchvision builds no such network.
    """
    layer = _Layer(norm)
    if norm.torch_layer("c") is None:
        raise ValueError(f"torch has no layer for norm={norm.word}")
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        own = build_torchvision(config, fitting_norm_factory(norm, 1), channels=_RGB, num_classes=num_classes)
        channels = {module.channels for module in own.modules() if isinstance(module, NormAct)}
        arguments: dict[str, Any] = {"num_classes": num_classes, **ARGUMENTS.get(config.arch, {})}
        spelled = ", ".join(f"{key}={value}" for key, value in arguments.items())
        plain = f"torchvision.models.{config.arch}({spelled}"
        for text, more in (
            (f"{plain})", {}),
            (f"{plain}, norm_layer=lambda c: {layer.text(channels)})", {"norm_layer": layer.build}),
        ):
            theirs = _built(config.arch, arguments | more)
            if theirs is not None and _is_same(own, theirs, layer.build):
                return text
    raise ValueError(f"torchvision builds no {config.arch} with norm={norm.label} at each of its norms")


class _Layer:
    """Torch's layer of a norm."""

    def __init__(self, norm: NormConfig) -> None:
        self._norm = norm

    def build(self, channels: int) -> nn.Module:
        """Torch's layer of so many channels."""
        eps = value_of(self._norm, "eps")
        if not self._norm.takes_groups:
            return nn.BatchNorm2d(channels, eps=eps)
        return nn.GroupNorm(self._groups(channels), channels, eps=eps)

    def text(self, channels: set[int]) -> str:
        """The same for any of some channels c, in Python."""
        python = str(self._norm.torch_layer("c"))
        if not self._norm.takes_groups or all(self._norm.fitting(c) == self._norm for c in channels):
            return python
        _, _, rest = python.partition(", ")
        return f"torch.nn.GroupNorm({ {c: self._groups(c) for c in sorted(channels)} }[c], {rest}"

    def _groups(self, channels: int) -> int:
        found = self._norm.fitting(channels)
        return int(value_of(found, "num_groups") or channels // value_of(found, "channels_per_group"))


def _built(arch: str, arguments: Mapping[str, Any]) -> nn.Module | None:
    """Torchvision's network; None where it does not take the arguments."""
    from torchvision.models import get_model

    for device in ("meta", "cpu"):  # some constructors read values of tensors
        try:
            with torch.device(device):
                model: nn.Module = get_model(arch, weights=None, **arguments)
        except (TypeError, ValueError):
            return None
        except RuntimeError:
            continue
        return model
    return None


def _is_same(own: nn.Module, theirs: nn.Module, layer: Callable[[int], nn.Module]) -> bool:
    """Whether a network has the tensors of a run's, but for running statistics, and its layers where that has norms."""
    if _shapes(own) != _shapes(theirs):
        return False
    modules = dict(theirs.named_modules())
    return all(
        _evaluates_alike(modules.get(name), layer(module.channels))
        for name, module in own.named_modules()
        if isinstance(module, NormAct)
    )


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    """Of what stays the same whatever the norm: running statistics are left out."""
    return {
        name: tensor.shape
        for name, tensor in model.state_dict().items()
        if not name.endswith(
            ("running_mean", "running_var", "running_std", "num_batches_tracked", "done_epochs")
        )
    }


def _evaluates_alike(found: nn.Module | None, wanted: nn.Module) -> bool:
    """Whether two layers of torch are the same in evaluation, where momentum counts for nothing."""
    names = ("num_features", "num_channels", "num_groups", "eps", "affine")
    return type(found) is type(wanted) and all(
        getattr(found, name, None) == getattr(wanted, name, None) for name in names
    )
