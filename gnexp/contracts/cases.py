"""The norms and inputs that contracts are tried on: float64, two workers, everything drawn from a seed."""

from __future__ import annotations

import torch

from gnexp.config import NormConfig
from gnexp.nn.norm_act import NormAct
from gnexp.nn.norms import norm_factory

CHANNELS, WORKERS = 16, 2
SHAPE = (4, CHANNELS, 3, 2)
CLOSE = 1e-10  # in float64; what should differ differs by much more
Tensor = torch.Tensor


def make(config: NormConfig, *, workers: int = WORKERS, relu: bool | None = None, seed: int = 0) -> NormAct:
    """A layer whose parameters are drawn, and its constants too where it only gets them from another norm.

    Args:
        config: of the norm.
        workers: V.
        relu: whether its activation follows; None = where the norm has one of its own, which is part of its equation.
        seed: of what is drawn.
    """
    norm = norm_factory(config, workers)(
        CHANNELS, relu=config.own_activation if relu is None else relu
    ).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        for buffer in norm.buffers() if config.freezes else ():
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return norm


def draw(*shape: int, seed: int = 1) -> Tensor:
    """Values whose mean and spread differ from image to image and from channel to channel."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape or SHAPE, generator=generator, dtype=torch.float64)
    place = torch.randn(x.shape[:2], generator=generator, dtype=torch.float64)
    return x + place.view(*place.shape, *[1] * (x.dim() - 2))


def replaced(x: Tensor, kept: Tensor) -> Tensor:
    """X with other values wherever kept is False; a mask of fewer dimensions is of the first ones."""
    mask = kept.view(*kept.shape, *[1] * (x.dim() - kept.dim())).expand_as(x)
    return torch.where(mask, x, draw(*x.shape, seed=2) * 3 + 1)


def difference(a: Tensor, b: Tensor) -> float:
    """The largest of two tensors' elements."""
    return float((a - b).detach().abs().max())


def state_of(norm: NormAct) -> dict[str, Tensor]:
    """A copy of its state."""
    return {name: value.detach().clone() for name, value in norm.state_dict().items()}
