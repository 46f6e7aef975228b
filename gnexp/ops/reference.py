"""The equations, in plain tensor code: what every faster path is tested against.

Shapes: x is (N, C, *) with any number of trailing (space, time) axes. Statistics are taken in x's dtype; variances are
biased (divided by the count), computed from centred values and never as E[x^2] - E[x]^2.
"""

from __future__ import annotations

import math

import torch


def group_norm(
    x: torch.Tensor,
    num_groups: int,
    weight: torch.Tensor,
    bias: torch.Tensor,
    eps: float,
    residual: torch.Tensor | None = None,
    relu: bool = False,
) -> torch.Tensor:
    """Group normalization (Wu & He 2018, Eq. 1, 2, 3 and 7): mean and variance over (C / num_groups, *) of one sample.

    What follows it in a residual block may come with it: the residual sum, then ReLU.

    Args:
        x: (N, C, *).
        num_groups: G; C must be a multiple of it.
        weight: gamma, (C,).
        bias: beta, (C,).
        eps: added to the variance.
        residual: (N, C, *), added before ReLU.
        relu: whether ReLU follows.
    """
    groups = _by_group(x, num_groups)
    mean = groups.mean(2, keepdim=True)
    variance = (groups - mean).square().mean(2, keepdim=True)
    normalized = ((groups - mean) / (variance + eps).sqrt()).reshape(x.shape)
    y = normalized * _per_channel(weight, x) + _per_channel(bias, x)
    if residual is not None:
        y = y + residual
    return y.relu() if relu else y


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


def batch_renorm(
    x: torch.Tensor,
    workers: int,
    weight: torch.Tensor,
    bias: torch.Tensor,
    eps: float,
    running_mean: torch.Tensor,
    running_std: torch.Tensor,
    r_max: float,
    d_max: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Batch renormalization of each worker's images alone, one worker after the other (Ioffe 2017, Algorithm 1).

    Position p of x belongs to worker p mod workers. The running statistics are those before this batch; updating
    them, by mu += alpha (mu_B - mu) and sigma += alpha (sigma_B - sigma), is the caller's.

    Args:
        x: (N, C, *); N must be a multiple of workers.
        workers: V.
        weight: gamma, (C,).
        bias: beta, (C,).
        eps: added to the variance.
        running_mean: mu, (V, C).
        running_std: sigma, (V, C).
        r_max: bound of r, at least 1.
        d_max: bound of the size of d, at least 0.

    Returns:
        y like x, and the workers' means and stds, both (V, C).
    """
    y, means, stds = torch.empty_like(x), [], []
    axes = [0, *range(2, x.dim())]
    for worker in range(workers):
        own = x[worker::workers]
        mean = own.mean(axes)
        std = ((own - _per_channel(mean, x)).square().mean(axes) + eps).sqrt()
        r, d = renorm_correction(mean, std, running_mean[worker], running_std[worker], r_max, d_max)
        normalized = (own - _per_channel(mean, x)) / _per_channel(std, x)
        corrected = normalized * _per_channel(r, x) + _per_channel(d, x)
        y[worker::workers] = corrected * _per_channel(weight, x) + _per_channel(bias, x)
        means.append(mean)
        stds.append(std)
    return y, torch.stack(means), torch.stack(stds)


def rms_norm(
    x: torch.Tensor,
    num_groups: int,
    weight: torch.Tensor,
    bias: torch.Tensor,
    eps: float,
    residual: torch.Tensor | None = None,
    relu: bool = False,
    threshold: torch.Tensor | None = None,
) -> torch.Tensor:
    """Division by the root mean square over (C / num_groups, *) of one sample: group normalization without the mean.

    Filter response normalization (Singh & Krishnan 2019, Section 3) with its thresholded linear unit is this with one
    channel a group and a threshold; with one group it is root mean square normalization (Zhang & Sennrich 2019,
    Eq. 4) of images.

    Args:
        x: (N, C, *).
        num_groups: G; C must be a multiple of it.
        weight: gamma, (C,).
        bias: beta, (C,).
        eps: added to the mean square.
        residual: (N, C, *), added before what follows.
        relu: whether ReLU follows.
        threshold: tau, (C,), below which nothing passes; None for none.
    """
    groups = _by_group(x, num_groups)
    normalized = groups / (groups.square().mean(2, keepdim=True) + eps).sqrt()
    y = normalized.reshape(x.shape) * _per_channel(weight, x) + _per_channel(bias, x)
    if residual is not None:
        y = y + residual
    if threshold is not None:
        y = torch.maximum(y, _per_channel(threshold, x))
    return y.relu() if relu else y


def evonorm_s0(
    x: torch.Tensor, num_groups: int, v: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
) -> torch.Tensor:
    """EvoNorm-S0 (Liu et al. 2020): x sigmoid(v x) / std(x), the std over (C / num_groups, *) of one sample.

    Args:
        x: (N, C, *).
        num_groups: G; C must be a multiple of it.
        v: (C,).
        weight: gamma, (C,).
        bias: beta, (C,).
        eps: added to the variance.
    """
    groups = _by_group(x, num_groups)
    variance = (groups - groups.mean(2, keepdim=True)).square().mean(2, keepdim=True)
    gated = (x * (_per_channel(v, x) * x).sigmoid()).reshape(groups.shape)
    normalized = (gated / (variance + eps).sqrt()).reshape(x.shape)
    return normalized * _per_channel(weight, x) + _per_channel(bias, x)


def channel_layer_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
    """Layer normalization of the channels at each position alone (Ba et al. 2016, Eq. 4; in ConvNeXt).

    Args:
        x: (N, C, *).
        weight: gamma, (C,).
        bias: beta, (C,).
        eps: added to the variance.
    """
    centred = x - x.mean(1, keepdim=True)
    normalized = centred / (centred.square().mean(1, keepdim=True) + eps).sqrt()
    return normalized * _per_channel(weight, x) + _per_channel(bias, x)


def standardize_weight(weight: torch.Tensor, eps: float) -> torch.Tensor:
    """Weight standardization (Qiao et al. 2019): each output channel's weights with mean 0 and variance 1.

    Args:
        weight: of a convolution, (channels_out, channels_in, *).
        eps: added to the variance.
    """
    axes = list(range(1, weight.dim()))
    centred = weight - weight.mean(axes, keepdim=True)
    return centred / (centred.square().mean(axes, keepdim=True) + eps).sqrt()


@torch.no_grad()
def renorm_correction(
    batch_mean: torch.Tensor,
    batch_std: torch.Tensor,
    running_mean: torch.Tensor,
    running_std: torch.Tensor,
    r_max: float,
    d_max: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Batch renormalization's r and d (Ioffe 2017, Algorithm 1), through which no gradient goes; all of one shape."""
    r = (batch_std / running_std).clamp(1 / r_max, r_max)
    d = ((batch_mean - running_mean) / running_std).clamp(-d_max, d_max)
    return r, d


def _by_group(x: torch.Tensor, num_groups: int) -> torch.Tensor:
    """(N, C, *) -> (N, G, values of a group), of no images too, for which torch infers no size."""
    return x.reshape(x.shape[0], num_groups, math.prod(x.shape[1:]) // num_groups)


def _per_channel(parameter: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return parameter.reshape(1, -1, *[1] * (x.dim() - 2))
