"""Which statistics batch normalization evaluates with: worker 0's, the workers' mean, or precise ones."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import nn

from gnexp.nn.norms import BatchNormAct

EVAL_STATS = ("worker0", "mean", "precise")


def batch_norms(model: nn.Module) -> list[BatchNormAct]:
    """The model's batch norms, in order."""
    return [module for module in model.modules() if isinstance(module, BatchNormAct)]


def with_eval_stats(model: nn.Module, eval_stats: str) -> nn.Module:
    """A copy of the model, in evaluation mode, that uses worker 0's or the workers' mean running statistics."""
    assert eval_stats in ("worker0", "mean"), eval_stats
    chosen = copy.deepcopy(model).eval()
    for norm in batch_norms(chosen):
        norm.eval_stats = eval_stats
    return chosen


@torch.no_grad()
def with_precise_stats(model: nn.Module, batches: Iterable[torch.Tensor]) -> nn.Module:
    """A copy of the model, in evaluation mode, with statistics pooled over the given training batches.

    The model runs in training mode, each worker normalizing its own images, so that the statistics are those of the
    network as it trains. Means and variances of all batches and workers are pooled by the law of total variance:
    var = E[var_b] + Var[mean_b].

    Args:
        model: left as it is.
        batches: images of whole total batches, each (N, C, *) with the same N.

    Raises:
        ValueError: no batch was given.
    """
    probe = copy.deepcopy(model).train()
    norms = batch_norms(probe)
    for norm in norms:
        norm.momentum = 1.0  # so that the running statistics are those of the last batch alone
    sums = [
        torch.zeros(2, norm.channels, dtype=torch.float64, device=norm.running_mean.device) for norm in norms
    ]
    count = 0
    for images in batches:
        probe(images)
        count += 1
        for norm, total in zip(norms, sums, strict=True):
            mean, unbiased = norm.running_mean.double(), norm.running_var.double()
            biased = unbiased * ((norm.num_values - 1) / norm.num_values)
            total[0] += mean.mean(0)
            total[1] += (biased + mean.square()).mean(0)
    if count == 0:
        raise ValueError(
            "precise statistics need at least one whole total batch of training images, got none"
        )
    for norm, total in zip(norms, sums, strict=True):
        mean, second_moment = total / count
        norm.running_mean.copy_(mean.expand(norm.workers, -1))
        norm.running_var.copy_((second_moment - mean.square()).clamp_(min=0).expand(norm.workers, -1))
    return probe.eval()
