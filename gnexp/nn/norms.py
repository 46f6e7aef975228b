"""Normalization, residual add and ReLU as one module, and the factory that models take.

A model writes `self.bn3(self.conv3(x), residual=identity)`. Names are torchvision's whatever the norm, so that
weights travel.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import nn

from gnexp.config import NormConfig
from gnexp.ops import reference


class NormFactory(Protocol):
    """What a model is given: channels -> module."""

    def __call__(self, channels: int, *, relu: bool = True) -> NormAct: ...


class NormAct(nn.Module, abc.ABC):
    """Normalizes (N, C, *), adds a residual of the same shape if given one, then applies ReLU if it has one.

    Args:
        channels: C.
        relu: whether ReLU follows.
    """

    def __init__(self, channels: int, *, relu: bool) -> None:
        super().__init__()
        self.channels = channels
        self.relu = relu
        self.name = "(unnamed norm)"

    @abc.abstractmethod
    def normalize(self, x: torch.Tensor) -> torch.Tensor:
        """The normalized and affinely mapped x, a new tensor."""

    def check(self) -> None:
        """Raises ValueError where the norm cannot be had on this layer; called before training starts."""

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        y = self.normalize(x)
        # In place: y is new, and no norm's backward reads its own output.
        if residual is not None:
            y = y.add_(residual)
        return y.relu_() if self.relu else y

    def extra_repr(self) -> str:
        return f"{self.channels}, relu={self.relu}"


class NoNormAct(NormAct):
    """No normalization: the bias per channel that a convolution before a norm does without."""

    def __init__(self, channels: int, *, relu: bool) -> None:
        super().__init__(channels, relu=relu)
        self.bias = nn.Parameter(torch.zeros(channels))

    def normalize(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.bias.view(1, -1, *[1] * (x.dim() - 2))


class GroupNormAct(NormAct):
    """Group normalization (Wu & He 2018, Eq. 7); LN with one group, IN with one channel per group.

    Args:
        channels: C.
        num_groups: G, or None where channels_per_group is given.
        channels_per_group: C / G, or None where num_groups is given.
        eps: added to the variance.
        relu: whether ReLU follows.
    """

    def __init__(
        self, channels: int, *, num_groups: int | None, channels_per_group: int | None, eps: float, relu: bool
    ) -> None:
        super().__init__(channels, relu=relu)
        self._asked = f"G={num_groups}" if num_groups else f"C/G={channels_per_group}"
        self._fits = channels % (num_groups or channels_per_group or 1) == 0
        self.num_groups = num_groups or channels // (channels_per_group or channels)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def check(self) -> None:
        """Raises ValueError where C is no multiple of G."""
        if not self._fits:
            divisors = ", ".join(str(d) for d in range(1, self.channels + 1) if self.channels % d == 0)
            raise ValueError(
                f"layer {self.name}: groups must divide its channels evenly, "
                f"got C={self.channels} and {self._asked}; possible: {divisors}"
            )

    def normalize(self, x: torch.Tensor) -> torch.Tensor:
        if x[0].numel() == self.num_groups:
            raise ValueError(
                f"layer {self.name}: one value per group normalizes to nothing, got input {tuple(x.shape)} "
                f"and G={self.num_groups}; use fewer groups or larger images"
            )
        # The native CPU kernel cancels catastrophically in channels_last (error 1e3 at mean/std 1000): go NCHW.
        y = F.group_norm(x.contiguous(), self.num_groups, self.weight, self.bias, self.eps)
        is_channels_last = (
            x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
        )
        return y.contiguous(memory_format=torch.channels_last) if is_channels_last else y

    def extra_repr(self) -> str:
        return f"{self.channels}, num_groups={self.num_groups}, eps={self.eps}, relu={self.relu}"


class BatchNormAct(NormAct):
    """Batch normalization (Ioffe & Szegedy 2015) with each worker's statistics taken alone.

    In training, position p of the batch belongs to worker p mod workers. In evaluation every image is normalized by
    one set of running statistics: worker 0's, or the average over the workers (`eval_stats`).

    Args:
        channels: C.
        workers: V.
        eps: added to the variance.
        momentum: weight of the new batch in the running statistics.
        relu: whether ReLU follows.
    """

    running_mean: torch.Tensor  # (V, C)
    running_var: torch.Tensor  # (V, C), unbiased
    num_batches_tracked: torch.Tensor

    def __init__(self, channels: int, *, workers: int, eps: float, momentum: float, relu: bool) -> None:
        super().__init__(channels, relu=relu)
        self.workers = workers
        self.eps = eps
        self.momentum = momentum
        self.eval_stats = "worker0"  # worker0 | mean
        self.num_values = 0  # per channel and worker in the last training batch
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(workers, channels))
        self.register_buffer("running_var", torch.ones(workers, channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))  # torchvision's key; nothing reads it

    def normalize(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            mean, var = (
                (self.running_mean[0], self.running_var[0])
                if self.eval_stats == "worker0"
                else (self.running_mean.mean(0), self.running_var.mean(0))
            )
            return F.batch_norm(x, mean, var, self.weight, self.bias, False, 0.0, self.eps)
        self._check_batch(x)
        self.num_batches_tracked += 1
        if x.is_contiguous():
            # (n, V, C, *) and (n, V * C, *) are the same memory: one native call takes every worker's statistics.
            folded = x.view(x.shape[0] // self.workers, self.workers * self.channels, *x.shape[2:])
            weight, bias = self.weight.repeat(self.workers), self.bias.repeat(self.workers)
            mean, var = self.running_mean.view(-1), self.running_var.view(-1)
            return F.batch_norm(folded, mean, var, weight, bias, True, self.momentum, self.eps).view(x.shape)
        y, batch_mean, batch_var = reference.batch_norm(x, self.workers, self.weight, self.bias, self.eps)
        with torch.no_grad():
            unbiased = batch_var * (self.num_values / (self.num_values - 1))
            self.running_mean.lerp_(batch_mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        return y

    def extra_repr(self) -> str:
        return f"{self.channels}, workers={self.workers}, eps={self.eps}, momentum={self.momentum}, relu={self.relu}"

    def _check_batch(self, x: torch.Tensor) -> None:
        if x.shape[0] % self.workers:
            raise ValueError(
                f"layer {self.name}: a training batch must be a multiple of workers={self.workers}, "
                f"got {x.shape[0]} images"
            )
        self.num_values = x.shape[0] // self.workers * x[0, 0].numel()
        if self.num_values == 1:
            raise ValueError(
                f"layer {self.name}: batch normalization needs more than one value per channel and worker, "
                f"got input {tuple(x.shape)} for {self.workers} workers; raise batch or the image size"
            )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Weights of one worker (torchvision's, an export) serve all of them.
        for key in (f"{prefix}running_mean", f"{prefix}running_var"):
            if key in state_dict and state_dict[key].dim() == 1:
                state_dict[key] = state_dict[key].expand(self.workers, -1)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _group_norm(config: NormConfig, workers: int) -> NormFactory:
    def make(channels: int, *, relu: bool = True) -> NormAct:
        return GroupNormAct(
            channels,
            num_groups=config.num_groups,
            channels_per_group=config.channels_per_group,
            eps=config.eps,
            relu=relu,
        )

    return make


def _batch_norm(config: NormConfig, workers: int) -> NormFactory:
    def make(channels: int, *, relu: bool = True) -> NormAct:
        assert config.momentum is not None, "checked by NormConfig"
        return BatchNormAct(channels, workers=workers, eps=config.eps, momentum=config.momentum, relu=relu)

    return make


def _no_norm(config: NormConfig, workers: int) -> NormFactory:
    def make(channels: int, *, relu: bool = True) -> NormAct:
        return NoNormAct(channels, relu=relu)

    return make


NORMS: dict[str, Callable[[NormConfig, int], NormFactory]] = {
    "gn": _group_norm,
    "bn": _batch_norm,
    "none": _no_norm,
}


def norm_factory(config: NormConfig, workers: int) -> NormFactory:
    """The factory of a configured norm.

    Args:
        config: the norm.
        workers: virtual workers whose statistics batch normalization keeps apart.

    Raises:
        ValueError: an unknown kind.
    """
    if config.kind not in NORMS:
        raise ValueError(f"norm.kind must be one of {', '.join(NORMS)}, got {config.kind}")
    return NORMS[config.kind](config, workers)


def name_norms(model: nn.Module) -> None:
    """Tells each norm its name in the model and checks that it can be had there.

    Raises:
        ValueError: an impossible grouping, naming the layer, C and G.
    """
    for name, module in model.named_modules():
        if isinstance(module, NormAct):
            module.name = name
            module.check()
