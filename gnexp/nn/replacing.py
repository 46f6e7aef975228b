"""Anybody's network: each of its batch norms, or of the norms that took their places, becomes another norm."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils import parametrize

from gnexp.nn.norm_act import NormAct

# Who wrote the forward of a batch norm tells what it computes: a subclass that leaves forward alone is one as well.
# By name, so that neither torchvision nor timm is imported for it.
_PLAIN = {
    "torch.nn.modules.batchnorm._BatchNorm",
    "torch.nn.modules.batchnorm.SyncBatchNorm",
    "torchvision.ops.misc.FrozenBatchNorm2d",
}
# These go on with their `drop` and their `act`, which are modules.
_WITH_ACT = {
    "timm.layers.norm_act.BatchNormAct2d",
    "timm.layers.norm_act.SyncBatchNormAct",
    "timm.layers.norm_act.FrozenBatchNormAct2d",
}
# Of gnexp's own norms the one that is no NormAct.
_OWN = "gnexp.library.sample_norms.GroupNorm"
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

# The act that a norm with an activation of its own has taken the place of, else None: an attribute of norms that have
# replaced others, and no module of theirs, so that it has no keys in a state_dict.
_REPLACED_ACT = "_gnexp_replaced_act"

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


def find_norms(
    model: nn.Module, channels_of_other: Callable[[nn.Module], int | None] = lambda module: None
) -> dict[nn.Module, tuple[int, list[str]]]:
    """What replace_norms would replace: each norm with its channels and its names in the model, in its order.

    Arguments and errors as replace_norms'.
    """
    found: dict[nn.Module, tuple[int, list[str]]] = {}
    for name, module in _sites(model, "", found):
        channels = channels_of_other(module)
        if channels is None and (is_own(module) or _is_batch_norm(name, module)):
            channels = _channels(module)
        if channels is not None:
            _check_replaceable(name, module)
            found.setdefault(module, (channels, []))[1].append(name)
    return found


def is_own(norm: nn.Module) -> bool:
    """Whether a norm is one of gnexp's, or of a package that adds one."""
    return isinstance(norm, NormAct) or _author_of_forward(norm) == _OWN


def has_affine(norm: nn.Module) -> bool:
    """Whether a norm has a weight or a bias; what is in no state_dict stands for none."""
    keys = {"weight", "bias"} - norm._non_persistent_buffers_set
    return any(getattr(norm, key, None) is not None for key in keys)


def has_act(norm: nn.Module) -> bool | None:
    """Whether a norm goes on with an activation of its own; None where that may be the network's matter.

    timm's does unless told to leave it out. One of gnexp's does where it has a ReLU or what took its place, and in
    gnexp's networks it alone does.
    """
    if (act := act_of(norm)) is not None:
        return not isinstance(act, nn.Identity)
    if is_own(norm) and norm.relu:
        return True
    is_of_network = _name_of(type(norm)).startswith("gnexp.library.") or _REPLACED_ACT in vars(norm)
    return False if is_own(norm) and not is_of_network else None


def act_of(norm: nn.Module) -> nn.Module | None:
    """The module that follows a norm as its activation, or followed the one whose place it took."""
    if _author_of_forward(norm) in _PLAIN:
        return None
    act: nn.Module | None = norm._modules.get("act", vars(norm).get(_REPLACED_ACT))
    return act


def in_words(name: str) -> str:
    """A module in a sentence, by its name in the model."""
    return f"layer {name}" if name else "the model itself"


def _sites(module: nn.Module, name: str, found: Container[nn.Module]) -> Iterator[tuple[str, nn.Module]]:
    """Every module at each of its sites, but not what lies within one that has been found."""
    yield name, module
    if module not in found:
        for child, below in module._modules.items():
            if below is not None:
                yield from _sites(below, f"{name}.{child}" if name else child, found)


def _is_batch_norm(name: str, module: nn.Module) -> bool:
    """Whether a module is a batch norm.

    Raises:
        ValueError: it is one whose forward is not known.
    """
    if isinstance(module, _InstanceNorm):
        return False
    known = _PLAIN | _WITH_ACT
    is_of_known_class = any(_name_of(cls) in known for cls in type(module).__mro__)
    if not is_of_known_class and not {"running_mean", "running_var"} <= module._buffers.keys():
        return False
    if _author_of_forward(module) not in known:
        raise ValueError(
            f"{in_words(name)}: {_name_of(type(module))} is a batch norm with a forward of its own, which gnexp does "
            "not know; put a torch.nn.BatchNorm in its place first"
        )
    return True


def _check_replaceable(name: str, module: nn.Module) -> None:
    """Raises ValueError where something that hangs on the module would be lost."""
    kind = _name_of(type(module))
    if isinstance(module, LazyModuleMixin):
        raise ValueError(f"{in_words(name)}: {kind} does not know its channels yet; run the model once first")
    if parametrize.is_parametrized(module):
        raise ValueError(f"{in_words(name)}: {kind} is parametrized; remove its parametrizations first")
    hanging = [hook for hooks in _HOOKS for hook in getattr(module, hooks).values()]
    if any(hook is not _run_drop_and_act for hook in hanging):
        raise ValueError(f"{in_words(name)}: {kind} has hooks, which would be lost; remove them first")


def _channels(norm: nn.Module) -> int:
    """C. A frozen norm does not always say num_features, and a norm without affine map has no weight."""
    for key in ("num_features", "num_channels", "channels"):
        if (channels := getattr(norm, key, None)) is not None:
            return int(channels)
    return int(norm._buffers["weight"].shape[0])  # type: ignore[union-attr]


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
    vars(new)[_REPLACED_ACT] = None if keeps_act else act
    if _author_of_forward(old) in _PLAIN:
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
        new.register_forward_hook(_run_drop_and_act)


def _run_drop_and_act(norm: nn.Module, inputs: Any, y: torch.Tensor) -> torch.Tensor:
    # A hook and no module around the norm, so that names, keys of weights and isinstance are those of the norm.
    for name in ("drop", "act"):
        if (follower := norm._modules.get(name)) is not None:
            y = follower(y)
    return y


def _author_of_forward(module: nn.Module) -> str:
    """The class whose forward a module runs."""
    return next(_name_of(cls) for cls in type(module).__mro__ if "forward" in vars(cls))


def _name_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
