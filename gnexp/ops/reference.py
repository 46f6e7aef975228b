"""The equations, in plain tensor code: what every faster path is tested against.

Shapes: x is (N, C, *) with any number of trailing (space, time) axes. Statistics are taken in x's dtype; variances are
biased (divided by the count), computed from deviations and never as E[x^2] - E[x]^2.
"""

from __future__ import annotations

import torch


def group_norm(
    x: torch.Tensor, num_groups: int, weight: torch.Tensor, bias: torch.Tensor, eps: float
) -> torch.Tensor:
    """Group normalization (Wu & He 2018, Eq. 1, 2, 3 and 7): mean and variance over (C / num_groups, *) of one sample.

    Args:
        x: (N, C, *).
        num_groups: G; C must be a multiple of it.
        weight: gamma, (C,).
        bias: beta, (C,).
        eps: added to the variance.
    """
    groups = x.reshape(x.shape[0], num_groups, -1)
    mean = groups.mean(2, keepdim=True)
    variance = (groups - mean).square().mean(2, keepdim=True)
    normalized = ((groups - mean) / (variance + eps).sqrt()).reshape(x.shape)
    return normalized * _per_channel(weight, x) + _per_channel(bias, x)


def batch_norm(
    x: torch.Tensor, workers: int, weight: torch.Tensor, bias: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Batch normalization of each worker's images alone (Ioffe & Szegedy 2015, Algorithm 1).

    Position p of x belongs to worker p mod workers.

    Args:
        x: (N, C, *); N must be a multiple of workers.
        workers: V.
        weight: gamma, (C,).
        bias: beta, (C,).
        eps: added to the variance.

    Returns:
        y like x, and the workers' means and biased variances, both (V, C).
    """
    by_worker = torch.unflatten(x, 0, (-1, workers))  # (N / V, V, C, *)
    axes = [0, *range(3, by_worker.dim())]
    mean = by_worker.mean(axes, keepdim=True)
    variance = (by_worker - mean).square().mean(axes, keepdim=True)
    normalized = ((by_worker - mean) / (variance + eps).sqrt()).flatten(0, 1)
    y = normalized * _per_channel(weight, x) + _per_channel(bias, x)
    channels = x.shape[1]
    return y, mean.reshape(workers, channels), variance.reshape(workers, channels)


def _per_channel(parameter: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return parameter.reshape(1, -1, *[1] * (x.dim() - 2))
