"""The convolutions before somebody's norms, where a norm wants other ones: weight standardization."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from gnexp.nn.norm_act import ConvFactory
from gnexp.nn.replaceable import find_norms, in_words
from gnexp.nn.weight_standardization import is_standardized, take_standardization_off


def convolutions_before_norms(model: nn.Module) -> dict[str, nn.Module]:
    """The convolutions that feed norms, by their names in the model.

    These are the ones registered last before a batch norm of as many channels, and those without a bias: a network
    tells no more without being run. So a head's last convolution, which has a bias and no norm behind it, is not one.
    Without a norm behind it neither is a Conv1d, which in a network of maps is attention over its channels. One with a
    single weight per output channel is none either: standardization would leave nothing of it.

    Raises:
        ValueError: a norm that cannot be replaced, or a compiled convolution before one.
    """
    norms = find_norms(model)
    found: dict[str, nn.Module] = {}
    last: tuple[str, nn.Conv1d | nn.Conv2d | nn.Conv3d] | None = None
    compiled = ""  # the name of a compiled one, where that is the last
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            last, compiled = (name, module), ""
            if module.bias is None and not isinstance(module, nn.Conv1d):
                found[name] = module
        elif isinstance(module, torch.jit.ScriptModule) and str(module.original_name).startswith("Conv"):
            last, compiled = None, name
        elif module in norms:
            if compiled:
                raise ValueError(
                    f"{in_words(compiled)}: a convolution that is compiled to TorchScript cannot become one with "
                    "standardized weights; convert the network before torch.jit compiles a part of it"
                )
            if last is not None and last[1].out_channels == norms[module][0]:
                found[last[0]] = last[1]
            last = None
        elif module._parameters:  # a layer of another kind stands between, whose output the norm takes
            last, compiled = None, ""
    return {name: conv for name, conv in found.items() if not _has_single_weights(conv)}


def _has_single_weights(convolution: nn.Module) -> bool:
    weight = convolution.weight
    return isinstance(weight, torch.Tensor) and not is_lazy(weight) and weight[0].numel() == 1


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
        kind = type(convolution).__name__
        if parametrize.is_parametrized(convolution):
            raise ValueError(f"{in_words(name)}: {kind} is parametrized; remove its parametrizations first")
        if "weight" not in convolution._parameters:
            raise ValueError(
                f"{in_words(name)}: {kind} computes its weight anew in each step, as torch's spectral_norm, "
                "weight_norm and prune have it do; remove that first"
            )
        if "forward" in vars(convolution):
            raise ValueError(
                f"{in_words(name)}: {kind} has a forward that was put on it, which would not standardize its weight; "
                "remove that first"
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
