"""Batch normalization with virtual workers: the images of each are normalized alone."""

from __future__ import annotations

import abc
from typing import Any

import torch
import torch.nn.functional as F

from gnexp.nn.kinds.batch_norm import BatchNormConfig
from gnexp.nn.norm_act import NormAct, NormFactory
from gnexp.nn.running_norm import RunningNormAct
from gnexp.ops import reference


class WorkerNormAct(RunningNormAct):
    """A norm that takes statistics over each worker's images in training and keeps running ones of each.

    In evaluation every image is normalized by worker 0's running statistics; nn/statistics.py makes copies of a model
    in which those are another set. Arguments as RunningNormAct's.
    """

    running_mean: torch.Tensor  # (V, C)

    def __init__(self, channels: int, *, workers: int, eps: float, momentum: float, relu: bool) -> None:
        super().__init__(channels, workers=workers, eps=eps, momentum=momentum, relu=relu)
        self.register_buffer("running_mean", torch.zeros(workers, channels))

    def normalize(self, x: torch.Tensor) -> torch.Tensor:
        # Of nothing at all, as a head's regions of interest may be, nothing is learnt: its mean would be NaN.
        if not self.training or not x.numel():
            return self.normalize_by_running_stats(x)
        self.check_batch(x)
        # One worker folds nothing, so that its native call takes x in any layout.
        is_native = x.is_contiguous() or self.num_active == 1
        return self.normalize_folded(x) if is_native else self.normalize_plainly(x)

    @abc.abstractmethod
    def normalize_by_running_stats(self, x: torch.Tensor) -> torch.Tensor:
        """Evaluation, by worker 0's running statistics."""

    @abc.abstractmethod
    def normalize_folded(self, x: torch.Tensor) -> torch.Tensor:
        """Training on contiguous x: every worker's statistics in one native call; the result is folded."""

    @abc.abstractmethod
    def normalize_plainly(self, x: torch.Tensor) -> torch.Tensor:
        """Training on x in any layout, by the reference."""

    def fold(self, x: torch.Tensor) -> torch.Tensor:
        """(n V, C, *) as (n, V C, *), which is the same memory: a channel of the view is one worker's channel."""
        if self.num_active == 1:
            return x
        return x.view(x.shape[0] // self.num_active, self.num_active * self.channels, *x.shape[2:])

    def per_worker(self, parameter: torch.Tensor) -> torch.Tensor:
        """(C,) -> (V C,), one copy for each worker."""
        return parameter.expand(self.num_active, self.channels).reshape(-1)

    def check_batch(self, x: torch.Tensor) -> None:
        """Checks that each worker has a training batch with something to normalize.

        Raises:
            ValueError: images that do not divide over the workers, or a single value to normalize.
        """
        if x.shape[0] % self.num_active:
            raise ValueError(
                f"{self.where}a training batch must be a multiple of workers={self.num_active}, "
                f"got {x.shape[0]} images"
            )
        if x.numel() == self.num_active * self.channels:
            raise ValueError(
                f"{self.where}batch normalization needs more than one value per channel and worker, "
                f"got input {tuple(x.shape)} for {self.num_active} workers; raise batch or the image size"
            )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Weights of one worker (torchvision's, an export) serve all of them.
        for name, own in self.named_buffers(recurse=False):
            key = f"{prefix}{name}"
            if own.dim() == 2 and key in state_dict and state_dict[key].dim() == 1:
                state_dict[key] = state_dict[key].expand(self.workers, -1)
        super()._load_from_state_dict(state_dict, prefix, *args)


class BatchNormAct(WorkerNormAct):
    """Batch normalization (Ioffe & Szegedy 2015) of each worker's images. Arguments as RunningNormAct's."""

    running_var: torch.Tensor  # (V, C), unbiased
    num_batches_tracked: torch.Tensor

    def __init__(self, channels: int, *, workers: int, eps: float, momentum: float, relu: bool) -> None:
        super().__init__(channels, workers=workers, eps=eps, momentum=momentum, relu=relu)
        self.register_buffer("running_var", torch.ones(workers, channels))
        # torchvision's key, so that weights travel. Nothing reads it, so no step counts in it.
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def normalize_by_running_stats(self, x: torch.Tensor) -> torch.Tensor:
        mean, var = self.running_mean[0], self.running_var[0]
        return F.batch_norm(x, mean, var, *self.affine(mean), False, 0.0, self.eps)

    def normalize_folded(self, x: torch.Tensor) -> torch.Tensor:
        weight, bias = (self.per_worker(parameter) for parameter in self.affine(self.running_mean))
        mean, var = self.running_mean[self.active].view(-1), self.running_var[self.active].view(-1)
        return F.batch_norm(self.fold(x), mean, var, weight, bias, True, self.momentum, self.eps)

    def normalize_plainly(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x  # as the native call has it
        y, batch_mean, batch_var = reference.batch_norm(
            wide, self.num_active, *self.affine(self.running_mean), self.eps
        )
        num_values = x.numel() // batch_var.numel()  # per channel and worker
        with torch.no_grad():
            unbiased = batch_var * (num_values / (num_values - 1))
            self.running_mean[self.active].lerp_(batch_mean.to(self.running_mean.dtype), self.momentum)
            self.running_var[self.active].lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        return y.to(x.dtype)

    def set_running_stats(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        self.running_mean.copy_(mean.expand(self.workers, -1))
        self.running_var.copy_(variance.expand(self.workers, -1))


def build_batch_norm(config: BatchNormConfig, workers: int) -> NormFactory:
    """The factory of batch norms whose statistics are each virtual worker's own."""

    def make(channels: int, *, relu: bool = True) -> NormAct:
        return BatchNormAct(channels, workers=workers, eps=config.eps, momentum=config.momentum, relu=relu)

    return make
