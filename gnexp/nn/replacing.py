"""Anybody's network: each of its batch norms, or of the norms that took their places, becomes another norm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from gnexp.nn.replaceable import (
    REPLACED_ACT,
    act_of,
    find_norms,
    has_affine,
    has_followers,
    in_words,
    is_own,
    run_drop_and_act,
)

# Builds the new norm of an old one, which it only reads: its name in the model, its channels, and the old one itself.
Make = Callable[[str, int, nn.Module], nn.Module]


@dataclass(frozen=True)
class Replaced:
    """One norm that took another one's place."""

    names: tuple[str, ...]  # in the model, of each site of a shared norm; "" is the model itself
    channels: int
    old: str  # its class: BatchNorm2d
    new: nn.Module
    was_frozen: bool  # its weight and bias were no parameters

    @property
    def name(self) -> str:
        """Its name in the model; of a shared norm the first."""
        return self.names[0]


def replace_norms(
    model: nn.Module,
    make: Make,
    *,
    keeps_act: bool = True,
    channels_of_other: Callable[[nn.Module], int | None] = lambda module: None,
) -> tuple[nn.Module, list[Replaced]]:
    """Replaces every BatchNorm1d, 2d and 3d, SyncBatchNorm and torchvision FrozenBatchNorm2d of a network, in place.

    So are gnexp's own norms, so that a network can be converted again.

    Weight and bias stay the same parameters, so that an optimizer that holds them stays right. A frozen norm's become
    parameters that need no gradient, and so do the new norm's where the old one had none. Running statistics are
    dropped. Device, dtype and training mode are kept, and a shared norm stays shared. timm's `drop` and `act` follow
    the new norm as they followed the old one, and bear the same names. Where an error is raised nothing is changed.

    Args:
        model: any network; where it is a norm itself, the new one is returned.
        make: builds a new norm; it may have parameters and buffers of its own beside weight and bias.
        keeps_act: whether an `act` follows the new norm; not where that has an activation itself.
        channels_of_other: the channels of a module of another class that is to be replaced as well; None = it stays.

    Returns:
        The model, and what was replaced, in the model's order.

    Raises:
        ValueError: a norm that is no plain batch norm, by name and class; or what make raises.
    """
    replaced = []
    tensors_of_all = [*model.parameters(), *model.buffers()]
    for old, (channels, names) in find_norms(model, channels_of_other).items():
        new = _build(make, names[0], channels, old, tensors_of_all)
        _let_follow(new, old, keeps_act=keeps_act)
        was_frozen = has_affine(old) and "weight" in old._buffers
        replaced.append(Replaced(tuple(names), channels, type(old).__name__, new, was_frozen))
    for norm in replaced:
        for name in norm.names:
            if not name:
                return norm.new, replaced
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, norm.new)
    return model, replaced


@torch.no_grad()
def _build(
    make: Make, name: str, channels: int, old: nn.Module, tensors_of_all: list[torch.Tensor]
) -> nn.Module:
    """The new norm, with what the old one was; where that had no tensor, it goes where the model's are."""
    tensors = [*old.parameters(recurse=False), *old.buffers(recurse=False), *tensors_of_all]
    like = next((tensor for tensor in tensors if tensor.is_floating_point()), torch.empty(0))
    with like.device:
        new = make(name, channels, old)
    default = torch.get_default_dtype()
    # What has a dtype of its own keeps it.
    new._apply(  # type: ignore[no-untyped-call]
        lambda tensor: tensor.to(like.device, like.dtype if tensor.dtype == default else tensor.dtype)
    )
    new.train(old.training)
    for key in ("weight", "bias"):
        mine, given = new._parameters.get(key), getattr(old, key, None)
        if mine is None:
            continue
        if given is None:
            # To a bias alone, which is norm=none, belongs a weight that trains; without both there is none to train.
            mine.requires_grad_(key == "weight" and is_own(old) and has_affine(old))
        elif given.shape != mine.shape:
            shapes = f"{tuple(mine.shape)} where {type(old).__name__} has {tuple(given.shape)}"
            raise ValueError(f"{in_words(name)}: {type(new).__name__} has a {key} of shape {shapes}")
        elif isinstance(given, nn.Parameter):
            setattr(new, key, given)
        else:
            mine.copy_(given)
            mine.requires_grad_(False)
    return new


def _let_follow(new: nn.Module, old: nn.Module, *, keeps_act: bool) -> None:
    """Has the old norm's drop and act follow the new one; they lie in it by their names, as they did in the old one.

    Where the new norm activates itself, it keeps the act for the norm that may once take its place.
    """
    act = act_of(old)
    vars(new)[REPLACED_ACT] = None if keeps_act else act
    if not has_followers(old):
        return
    followers = {"drop": old._modules.get("drop"), "act": act if keeps_act else None}
    for name, follower in followers.items():
        if follower is None:
            continue
        if hasattr(new, name):
            raise ValueError(
                f"{type(new).__name__} has a {name} of its own, and {type(old).__name__} one too"
            )
        new.add_module(name, follower)
    if any(follower is not None for follower in followers.values()):
        new.register_forward_hook(run_drop_and_act)
