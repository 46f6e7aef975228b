"""What lies where in a network that is not ours: it is shown by shapes alone which norms and convolutions see maps."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.utils._python_dispatch import TorchDispatchMode

_NUM_IMAGES = 2
_SIDE = 224  # unless the network says what it is made for: so large that maps are maps in its last stage, too


@dataclass(frozen=True)
class Seen:
    """A module's first input and what it is."""

    shape: tuple[int, ...]

    @property
    def is_of_images(self) -> bool:
        """Whether its first dimension counts the images."""
        return self.shape[0] == _NUM_IMAGES

    def is_map(self, *, is_channels_last: bool = False) -> bool:
        """Whether it has more than one pixel."""
        if len(self.shape) != 4:
            return False
        rows, columns = self.shape[1:3] if is_channels_last else self.shape[2:]
        return rows * columns > 1


def inputs_of(model: nn.Module, channels: int) -> dict[str, Seen]:
    """Has the shapes of two images go through a network in training; the modules that they reach, by name.

    Args:
        model: on the meta device.
        channels: of its images.

    Raises:
        ValueError: it does not give one vector an image, or it draws from torch's global generator.
    """
    seen: dict[str, Seen] = {}

    def note(name: str, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if inputs and isinstance(inputs[0], torch.Tensor):
            seen.setdefault(name, Seen(tuple(inputs[0].shape)))

    handles = [
        module.register_forward_pre_hook(functools.partial(note, name))
        for name, module in model.named_modules()
    ]
    height, width = side_of(model)
    try:
        with torch.device("meta"), torch.no_grad(), _Drawless():  # type: ignore[no-untyped-call]
            out = model.train()(torch.zeros(_NUM_IMAGES, channels, height, width))
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(out, torch.Tensor) or out.dim() != 2 or len(out) != _NUM_IMAGES:
        raise ValueError("it does not give one vector of scores an image")
    return seen


def side_of(model: nn.Module) -> tuple[int, int]:
    """Pixels of the images that a network is made for, height and width."""
    config = getattr(model, "default_cfg", None)
    size = config.get("input_size") if isinstance(config, dict) else None
    return (_SIDE, _SIDE) if size is None else (int(size[1]), int(size[2]))


def is_channels_last(norm: nn.LayerNorm) -> bool:
    """Whether a layer norm takes its channels last, as torch's does; one for maps is so called."""
    return "2d" not in type(norm).__name__


def is_other_norm(module: nn.Module) -> bool:
    """Whether a module normalizes and is neither a batch norm nor a layer norm."""
    if isinstance(module, nn.GroupNorm | _InstanceNorm | nn.LocalResponseNorm):
        return True
    if isinstance(module, nn.LayerNorm | nn.Conv2d | nn.Linear) or "running_mean" in module._buffers:
        return False
    return "Norm" in type(module).__name__ and bool(module._parameters)


class _Drawless(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses what draws from torch's global generator."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise ValueError(
                f"its {func.overloadpacket} draws from torch's global generator in training, so that a run could not "
                "go on bit for bit"
            )
        call: Callable[..., Any] = func
        return call(*args, **(kwargs or {}))
