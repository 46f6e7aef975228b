"""The convolutions before somebody's norms, where a norm wants other ones: weight standardization."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from torch import nn
from torch.nn.utils import parametrize

from gnexp.nn.norm_act import ConvFactory
from gnexp.nn.replaceable import find_norms, in_words
from gnexp.nn.weight_standardization import is_standardized, take_standardization_off


def convolutions_before_norms(model: nn.Module) -> dict[str, nn.Module]:
    """The convolutions that feed norms, by their names in the model.

    These are the ones without a bias, and the ones registered last before a batch norm of as many channels: a network
    tells no more without being run. So a head's last convolution, which has a bias and no norm behind it, is not one.
    """
    norms = find_norms(model)
    found: dict[str, nn.Module] = {}
    last: tuple[str, nn.Conv1d | nn.Conv2d | nn.Conv3d] | None = None
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            last = name, module
            if module.bias is None:
                found[name] = module
        elif module in norms:
            if last is not None and last[1].out_channels == norms[module][0]:
                found[last[0]] = last[1]
            last = None
        elif module._parameters:  # a layer of another kind stands between, whose output the norm takes
            last = None
    return found


def check_restorable(model: nn.Module, changed: Iterable[str]) -> None:
    """Raises ValueError where a convolution that an earlier conversion has changed cannot become what it was.

    Args:
        model: the converted network.
        changed: names that replace_convolutions has given.
    """
    for name in changed:
        convolution = model.get_submodule(name)
        if not is_standardized(convolution):
            raise ValueError(
                f"{in_words(name)}: {type(convolution).__name__} was put there for the norm that the model has now, "
                "and what it was is not known; build the model anew and convert that"
            )


def restore_convolutions(model: nn.Module) -> None:
    """Takes standardization off every convolution: the norm that wanted it is gone."""
    for module in model.modules():
        if is_standardized(module):
            take_standardization_off(module)


def check_convolutions(convolutions: dict[str, nn.Module], make: ConvFactory) -> None:
    """Raises ValueError where the norm has nothing to put in a convolution's place, by its name; changes nothing."""
    for name, convolution in convolutions.items():
        if parametrize.is_parametrized(convolution):
            raise ValueError(
                f"{in_words(name)}: {type(convolution).__name__} is parametrized; remove its parametrizations first"
            )
        try:
            make(copy.copy(convolution))
        except ValueError as error:
            raise ValueError(f"{in_words(name)}: {error}") from None


def replace_convolutions(
    model: nn.Module, convolutions: dict[str, nn.Module], make: ConvFactory
) -> list[str]:
    """Has the norm's convolutions take the place of checked ones; returns the names of those that changed."""
    changed = []
    for name, convolution in convolutions.items():
        before = type(convolution)
        new = make(convolution)
        if type(new) is before:
            continue
        changed.append(name)
        for site, module in list(model.named_modules(remove_duplicate=False)):
            if module is convolution and new is not convolution:
                parent, _, child = site.rpartition(".")
                setattr(model.get_submodule(parent), child, new)
    return changed
