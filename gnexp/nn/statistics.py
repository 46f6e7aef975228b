"""Which statistics batch normalization evaluates with: worker 0's, the workers' mean, or precise ones."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable

import torch
from torch import nn

from gnexp.nn.batch_norm import WorkerNormAct
from gnexp.nn.running_norm import RunningNormAct
from gnexp.nn.sync_batch_norm import SyncBatchNormAct
from gnexp.ops.moments import channel_moments

EVAL_STATS = ("worker0", "mean", "precise")


def batch_norms(model: nn.Module) -> list[RunningNormAct]:
    """The model's batch norms, in order."""
    return [module for module in model.modules() if isinstance(module, RunningNormAct)]


def alike(model: nn.Module, eval_stats: str) -> str:
    """The first of EVAL_STATS under which the model evaluates as under this one."""
    norms = batch_norms(model)
    has_rows = any(isinstance(norm, WorkerNormAct) for norm in norms)
    # One set for all workers is worker 0's and their mean; it is no precise one.
    return eval_stats if has_rows or (norms and eval_stats == "precise") else EVAL_STATS[0]


def _own_rows(rows: torch.Tensor) -> torch.Tensor:
    return rows  # one process holds all workers


def _own_sums(sums: torch.Tensor) -> None:
    pass


@torch.no_grad()
def with_eval_stats(
    model: nn.Module, eval_stats: str, gather_rows: Callable[[torch.Tensor], torch.Tensor] = _own_rows
) -> nn.Module:
    """A copy of the model, in evaluation mode, that uses worker 0's or the workers' mean running statistics.

    Args:
        model: left as it is.
        eval_stats: worker0 or mean.
        gather_rows: makes the (workers, C) statistics of all workers from those of a process's own.
    """
    assert eval_stats in ("worker0", "mean"), eval_stats
    chosen = copy.deepcopy(model).eval()
    for norm in batch_norms(chosen):
        for buffer in norm.buffers(recurse=False):
            if buffer.dim() == 2:
                rows = gather_rows(buffer)
                buffer.copy_((rows[0] if eval_stats == "worker0" else rows.mean(0)).expand_as(buffer))
    return chosen


@torch.no_grad()
def with_precise_stats(
    model: nn.Module,
    batches: Iterable[tuple[torch.Tensor, slice]],
    add_up: Callable[[torch.Tensor], None] = _own_sums,
) -> nn.Module:
    """A copy of the model, in evaluation mode, with statistics pooled over the given training batches.

    The norms run in training mode, each worker normalizing its own images, so that the statistics are those of the
    network as it trains; dropout, which follows them all, stays off. Means and variances of all batches and workers
    are pooled by the law of total variance: var = E[var_b] + Var[mean_b]. In a detector's heads they are those of
    evaluation's proposals, each batch with equal weight, or each value where statistics go over all workers; a norm
    that saw none keeps what it has.

    Args:
        model: left as it is.
        batches: images of whole batches, each (N, C, *) with the same N, and the workers whose images they are.
        add_up: adds a tensor over the run's processes, in place.

    Raises:
        ValueError: no batch was given.
    """
    probe = copy.deepcopy(model).eval()
    norms = [
        norm for norm in batch_norms(probe) if norm.weight.requires_grad
    ]  # a frozen one keeps what it has
    sums = [
        torch.zeros(3, norm.channels, dtype=torch.float64, device=norm.running_mean.device) for norm in norms
    ]
    handles = []
    for norm, total in zip(norms, sums, strict=True):
        norm.train()
        norm.momentum = 0.0  # renormalization corrects towards the running statistics that training left
        handles.append(norm.register_forward_pre_hook(functools.partial(_add_moments, total)))
    has_any = False
    for images, workers in batches:
        for norm in norms:
            norm.take_workers(workers)
        probe(images)
        has_any = True
    if not has_any:
        raise ValueError(
            "precise statistics need at least one whole total batch of training images, got none"
        )
    for norm, total, handle in zip(norms, sums, handles, strict=True):
        handle.remove()
        add_up(total)
        if (count := total[2, 0].item()) > 0:
            mean, second_moment = total[:2] / count
            norm.set_running_stats(mean, (second_moment - mean.square()).clamp_(min=0))
    return probe.eval()


def _add_moments(total: torch.Tensor, norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    """Adds the mean and second moment of a whole batch, pooled over its workers too, and counts it, each in (C,).

    Of a synchronized norm the batch is what all processes hold together, so that each counts by its values.
    """
    (x,) = inputs
    if not (num_values := x.numel() // x.shape[1]):
        return
    weight = num_values if isinstance(norm, SyncBatchNormAct) else 1
    mean, variance = channel_moments(x)
    total[0] += weight * mean.double()
    total[1] += weight * (variance.double() + mean.double().square())
    total[2] += weight
