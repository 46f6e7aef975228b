"""Which modules of anybody's network are norms that another one can take the place of, and what is refused by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container, Iterator
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
_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)
# What runs a module's forward.
_CALLS = ("__call__", "_call_impl", "_wrapped_call_impl")
# What a batch norm is known to hold, and timm's within its drop and its act.
_STATE = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
# Modules of training for quantization, which compute with the statistics of the norms in them.
_READS_STATISTICS = ("torch.ao.nn.intrinsic.qat.", "torch.nn.intrinsic.qat.")

# The act that a norm with an activation of its own has taken the place of, else None: an attribute of norms that have
# replaced others, and no module of theirs, so that it has no keys in a state_dict.
REPLACED_ACT = "_gnexp_replaced_act"


def find_norms(
    model: nn.Module, channels_of_other: Callable[[nn.Module], int | None] = lambda module: None
) -> dict[nn.Module, tuple[int, list[str]]]:
    """What replace_norms would replace: each norm with its channels and its names in the model, in its order.

    Arguments and errors as replace_norms'.
    """
    found: dict[nn.Module, tuple[int, list[str]]] = {}
    for name, module in _sites(model, "", found):
        _check_parent(name, module)
        _check_heir(name, module)
        channels = channels_of_other(module)
        is_other = channels is not None
        if channels is None and (is_own(module) or _is_batch_norm(name, module)):
            channels = _channels(module)
        if channels is not None:
            _check_replaceable(name, module)
            if not is_other and not is_own(module):
                _check_state(name, module)
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
    is_of_network = _name_of(type(norm)).startswith("gnexp.library.") or REPLACED_ACT in vars(norm)
    return False if is_own(norm) and not is_of_network else None


def act_of(norm: nn.Module) -> nn.Module | None:
    """The module that follows a norm as its activation, or followed the one whose place it took."""
    if not has_followers(norm):
        return None
    act: nn.Module | None = norm._modules.get("act", vars(norm).get(REPLACED_ACT))
    return act


def has_followers(norm: nn.Module) -> bool:
    """Whether a drop and an act in a norm are what it goes on with."""
    return _author_of_forward(norm) not in _PLAIN


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
    if isinstance(module, torch.jit.ScriptModule):
        _check_script(name, module)
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


def _check_script(name: str, module: torch.jit.ScriptModule) -> None:
    """Raises ValueError where a compiled part is a batch norm; it lets nothing be put in its place."""
    was = str(module.original_name)
    has_statistics = {"running_mean", "running_var"} <= {
        key for key, _ in module.named_buffers(recurse=False)
    }
    if "BatchNorm" in was or (has_statistics and "InstanceNorm" not in was):
        raise ValueError(
            f"{in_words(name)}: {was} is compiled to TorchScript, in which no norm can be replaced; convert the "
            "network before torch.jit compiles a part of it"
        )


def _check_parent(name: str, module: nn.Module) -> None:
    """Raises ValueError where a module uses more of a norm in it than its output."""
    kinds = [_name_of(cls) for cls in type(module).__mro__]
    if any(kind.startswith(_READS_STATISTICS) for kind in kinds) and any(
        isinstance(below, nn.modules.batchnorm._BatchNorm) for below in module.modules()
    ):
        raise ValueError(
            f"{in_words(name)}: {kinds[0]} computes with the running statistics of its batch norm, which another norm "
            "does not have; convert the network before it is prepared for quantization"
        )


def _check_heir(name: str, module: nn.Module) -> None:
    """Raises ValueError where somebody's class computes otherwise than the norm of gnexp that it extends."""
    lineage = type(module).__mro__
    author = next(cls for cls in lineage if "forward" in vars(cls))
    known = [cls for cls in lineage if _is_of_gnexp(cls) and not inspect.isabstract(cls)]
    if known and not _is_of_gnexp(author) and author not in known[0].__mro__:
        raise ValueError(
            f"{in_words(name)}: {_name_of(type(module))} is {known[0].__name__} with a forward of its own, which gnexp "
            "does not know; put a plain norm in its place first"
        )


def _is_of_gnexp(cls: type) -> bool:
    return _name_of(cls) == _OWN or (issubclass(cls, NormAct) and cls.__module__.startswith("gnexp."))


def _check_state(name: str, module: nn.Module) -> None:
    """Raises ValueError where a batch norm holds more than batch norms do."""
    is_with_act = _author_of_forward(module) in _WITH_ACT
    states = [*module.named_parameters(), *module.named_buffers()]
    keys = [key for key, _ in states if key not in _STATE]
    lost = [key for key in keys if not (is_with_act and key.split(".")[0] in ("drop", "act"))]
    if lost:
        raise ValueError(
            f"{in_words(name)}: {_name_of(type(module))} holds {', '.join(lost)} beside what a batch norm holds, which "
            "would be lost; put a torch.nn.BatchNorm in its place first"
        )


def _check_replaceable(name: str, module: nn.Module) -> None:
    """Raises ValueError where something that hangs on the module would be lost."""
    kind = _name_of(type(module))
    calls_otherwise = any(getattr(type(module), call) is not getattr(nn.Module, call) for call in _CALLS)
    if "forward" in vars(module) or calls_otherwise:
        raise ValueError(
            f"{in_words(name)}: {kind} is called in a way of its own, by a __call__ of its class or a forward that was "
            "put on it, which would be lost; put a plain norm in its place first"
        )
    if isinstance(module, LazyModuleMixin):
        raise ValueError(f"{in_words(name)}: {kind} does not know its channels yet; run the model once first")
    if parametrize.is_parametrized(module):
        raise ValueError(f"{in_words(name)}: {kind} is parametrized; remove its parametrizations first")
    hanging = [hook for hooks in _HOOKS for hook in getattr(module, hooks).values()]
    if any(hook is not run_drop_and_act for hook in hanging):
        raise ValueError(f"{in_words(name)}: {kind} has hooks, which would be lost; remove them first")


def _channels(norm: nn.Module) -> int:
    """C. A frozen norm does not always say num_features, and a norm without affine map has no weight."""
    for key in ("num_features", "num_channels", "channels"):
        if (channels := getattr(norm, key, None)) is not None:
            return int(channels)
    return int(norm._buffers["weight"].shape[0])  # type: ignore[union-attr]


def run_drop_and_act(norm: nn.Module, inputs: Any, y: torch.Tensor) -> torch.Tensor:
    """The forward hook of a norm that took the place of one with a drop or an act."""
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
