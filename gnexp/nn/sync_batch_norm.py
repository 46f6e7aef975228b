"""Synchronized batch normalization: statistics over the images of all workers of a step, in all processes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from gnexp.nn.kinds.sync_batch_norm import SyncBatchNormConfig
from gnexp.nn.norm_act import NormAct, NormFactory
from gnexp.nn.peers import ALONE, Peers
from gnexp.nn.running_norm import RunningNormAct
from gnexp.ops.moments import channel_moments


class SyncBatchNormAct(RunningNormAct):
    """Batch normalization over all images, or all regions of interest, of a step (Peng et al. 2018, MegDet).

    Every value counts alike, whichever process holds it: regions are not as many in each. So a step is that of
    nn.BatchNorm2d on all of it, and there is one set of running statistics, by torchvision's names. Over processes the
    forward pass has one collective call and the backward pass another; those that hold nothing take part too. In
    evaluation nothing is exchanged.

    Arguments as RunningNormAct's. A model's engine sets `peers`.
    """

    running_mean: torch.Tensor  # (C,)
    running_var: torch.Tensor  # (C,), unbiased
    num_batches_tracked: torch.Tensor

    def __init__(self, channels: int, *, workers: int, eps: float, momentum: float, relu: bool) -> None:
        super().__init__(channels, workers=workers, eps=eps, momentum=momentum, relu=relu)
        self.peers = ALONE
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        # torchvision's key, so that weights travel. Nothing reads it, so no step counts in it.
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def normalize(self, x: torch.Tensor) -> torch.Tensor:
        running = self.running_mean, self.running_var
        y: torch.Tensor
        is_shapes_alone = x.is_meta and self.peers.world_size > 1  # torch counts this process's values
        if self.training:
            self.check_batch(x)
        if not self.training or is_shapes_alone:
            y = F.batch_norm(x, *running, self.weight, self.bias, False, 0.0, self.eps)
        elif self.peers.world_size == 1:
            y = F.batch_norm(x, *running, self.weight, self.bias, True, self.momentum, self.eps)
        else:
            y = self.normalize_together(x)
        return y

    def check_batch(self, x: torch.Tensor) -> None:
        """Checks that a step has something to normalize.

        Raises:
            ValueError: a single value to normalize.
        """
        # Of several processes the shapes are looked at before training: there one of them may hold no region.
        if x.numel() * self.peers.world_size == self.channels:
            raise ValueError(
                f"{self.where}synchronized batch normalization needs more than one value per channel, got input "
                f"{tuple(x.shape)} of all workers; raise batch or the image size"
            )

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def normalize_together(self, x: torch.Tensor) -> torch.Tensor:
        """Training with the other processes, on x of any layout and with no images too."""
        mean, variance, count = pooled_moments(x, self.peers)
        with torch.no_grad():
            unbiased = variance * (count / (count - 1).clamp_(min=1))
            weight = self.momentum * (count > 0).double()  # of nothing at all nothing is learnt
            for running, new in ((self.running_mean, mean), (self.running_var, unbiased)):
                running.lerp_(new.to(running.dtype), weight.to(running.dtype))
        y: torch.Tensor = _NormalizeTogether.apply(
            x, self.weight, self.bias, mean, variance, count, self.eps, self.peers
        )
        return y

    def set_running_stats(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        self.running_mean.copy_(mean)
        self.running_var.copy_(variance)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in ("running_mean", "running_var"):
            if prefix + name in state_dict and state_dict[prefix + name].dim() == 2:
                state_dict[prefix + name] = state_dict[prefix + name][0]  # (V, C): worker 0's serve
        super()._load_from_state_dict(state_dict, prefix, *args)


@torch.no_grad()
def pooled_moments(x: torch.Tensor, peers: Peers) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean and biased variance of each channel over every process's x, both (C,), and how many values each has.

    One collective call. Means and centred sums of squares are merged by Chan's formula, weighted by their numbers of
    values, in float64: the same bits in every process.
    """
    channels, dtype = x.shape[1], torch.promote_types(x.dtype, torch.float32)
    own = torch.zeros(2 * channels + 1, dtype=torch.float64, device=x.device)
    if x.numel():
        own[-1] = num = x.numel() // channels
        mean, variance = channel_moments(x)
        own[:channels] = mean
        own[channels:-1] = variance.double() * num
    rows = peers.rows(own)
    means, squares, counts = rows[:, :channels], rows[:, channels:-1], rows[:, -1:]
    total = counts.sum()
    mean = (means * counts).sum(0) / total.clamp(min=1)
    between = ((means - mean).square() * counts).sum(0)
    variance = (squares.sum(0) + between) / total.clamp(min=1)
    return mean.to(dtype), variance.to(dtype), total


class _NormalizeTogether(torch.autograd.Function):
    """Normalization by the statistics of all processes' values; the gradient goes through these statistics too."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        mean: torch.Tensor,
        variance: torch.Tensor,
        count: torch.Tensor,
        eps: float,
        peers: Peers,
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt_(), count)
        ctx.peers = peers
        if not x.numel():
            return x.clone()
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "synchronized batch normalization over several processes has no second gradient "
                "(create_graph=True); use one process, or another norm="
            )
        # Of Ioffe & Szegedy (2015), Section 3, with every sum over all processes' values.
        x, weight, mean, inverse_std, count = ctx.saved_tensors
        axes, per_channel = [0, *range(2, x.dim())], (1, -1, *[1] * (x.dim() - 2))
        wide, centred = grad.to(mean.dtype), x.to(mean.dtype) - mean.view(per_channel)
        own = torch.stack([wide.sum(axes), (wide * centred).sum(axes)])
        grad_weight, grad_bias = (own[1] * inverse_std).to(weight.dtype), own[0].to(weight.dtype)
        total = own.to(
            torch.float64, copy=True
        )  # own stays: gamma and beta are averaged with the other gradients
        ctx.peers.add_up(total)
        mean_grad, mean_product = (total / count.clamp(min=1)).to(mean.dtype)
        slope = (mean_product * inverse_std.square()).view(per_channel)
        grad_x = (wide - mean_grad.view(per_channel)).sub_(centred.mul_(slope))
        grad_x.mul_((weight * inverse_std).view(per_channel))
        return grad_x.to(x.dtype), grad_weight, grad_bias, None, None, None, None, None


def sync_norms(model: nn.Module) -> list[SyncBatchNormAct]:
    """The model's norms whose statistics go over all workers, in order."""
    return [module for module in model.modules() if isinstance(module, SyncBatchNormAct)]


def active_peers(model: nn.Module) -> Peers:
    """The processes with which a pass through the model exchanges statistics; ALONE where it does not."""
    return next((norm.peers for norm in sync_norms(model) if norm.training), ALONE)


def build_sync_bn(config: SyncBatchNormConfig, workers: int) -> NormFactory:
    """The factory of batch norms with one set of statistics for all workers."""

    def make(channels: int, *, relu: bool = True) -> NormAct:
        return SyncBatchNormAct(
            channels, workers=workers, eps=config.eps, momentum=config.momentum, relu=relu
        )

    return make
