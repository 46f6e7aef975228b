"""Evaluation under each choice of batch normalization's statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from gnexp.config import RunConfig
from gnexp.data.dataset import Batch, Batches, Dataset
from gnexp.data.loader import num_val_steps, train_batches, val_batches
from gnexp.engine.state import State
from gnexp.nn.statistics import alike, with_eval_stats, with_precise_stats


class Stopped(Exception):
    """Some process of the run was asked to leave."""


def never() -> bool:
    """Nobody asks for anything."""
    return False


def evaluate(
    state: State,
    eval_stats: Sequence[str],
    *,
    epoch: int,
    is_thorough: bool = True,
    is_stopped: Callable[[], bool] = never,
) -> dict[str, dict[str, float]]:
    """The task's scores on val for each of the named statistics, in percent. Every process of the run calls it.

    Where statistics make no difference, such as to a norm without running ones, the model is measured once. It is left
    as it is.

    Args:
        state: the model and its data.
        eval_stats: some of EVAL_STATS.
        epoch: finished epochs; precise statistics see the images as the pass of that number draws them, the next
            one unless an epoch is recipe.epoch_steps.
        is_thorough: whether the scores are more than a point of a curve: a task may then test more thoroughly.
        is_stopped: whether this process was asked to leave.

    Raises:
        Stopped: some process was asked to leave.
    """
    found: dict[str, dict[str, float]] = {}
    for stats in dict.fromkeys(alike(state.model, stats) for stats in eval_stats):
        found[stats] = {}
        for view, partials in measure_val(state, stats, epoch, is_thorough, is_stopped):
            found[stats] |= state.task.aggregate(partials, view)
    return {stats: found[alike(state.model, stats)] for stats in eval_stats}


def measure_val(
    state: State,
    stats: str,
    epoch: int,
    is_thorough: bool = True,
    is_stopped: Callable[[], bool] = never,
    watch: Callable[[Iterator[Batch], Dataset], Iterator[Batch]] | None = None,
) -> list[tuple[Dataset, list[Any]]]:
    """What each process finds on its part of each view of val with one of EVAL_STATS.

    Every process of the run calls it. watch: passes on a view's batches as they are measured.
    """
    model = eval_model(state, stats, epoch, is_stopped)
    found = []
    for view in state.task.views(state.run, state.dataset, epoch=epoch, is_thorough=is_thorough):
        with state.autocast():
            batches = _val_batches(state, view, is_stopped)
            partial = state.task.measure(model, watch(batches, view) if watch else batches, view)
        found.append((view, state.processes.gather(partial)))
    return found


def eval_model(state: State, stats: str, epoch: int, is_stopped: Callable[[], bool] = never) -> nn.Module:
    """A copy of the model that evaluates with one of EVAL_STATS. Every process of the run calls it."""
    chosen = alike(state.model, stats)
    if chosen != "precise":
        return with_eval_stats(state.model, chosen, state.processes.gather_rows)
    return precise_model(state, epoch, is_stopped)


def passes(run: RunConfig, batch: Batch) -> Iterator[tuple[Batch, slice]]:
    """A process's part of a step as it goes through the model, and the workers whose images each pass holds."""
    workers, at_once = run.virtual_workers, run.workers_per_pass or run.virtual_workers
    if at_once == workers:
        yield batch, slice(0, workers)
        return
    positions = np.arange(len(batch.indices)).reshape(-1, workers)
    for first in range(0, workers, at_once):
        own = slice(first, first + at_once)
        yield batch.take(positions[:, own].reshape(-1)), own


def _val_batches(state: State, view: Dataset, is_stopped: Callable[[], bool]) -> Iterator[Batch]:
    size = state.task.eval_size(state.run)
    share = state.processes.share
    batches = val_batches(view, size=size, share=share)
    return _until_stopped(state, batches, num_val_steps(view, size, share), is_stopped)


def _until_stopped(
    state: State, batches: Batches, num: int, is_stopped: Callable[[], bool]
) -> Iterator[Batch]:
    """The batches; before each of `num`, as many in every process, all processes agree to go on."""
    try:
        for _ in range(num):
            if state.processes.any(is_stopped()):
                raise Stopped
            if (batch := next(batches, None)) is not None:
                yield batch
    finally:
        batches.close()


def precise_model(state: State, epoch: int, is_stopped: Callable[[], bool] = never) -> nn.Module:
    """A copy of the model that evaluates with precise statistics. Every process of the run calls it."""
    with state.autocast():
        images = _precise_batches(state, epoch, is_stopped)
        return with_precise_stats(state.model, images, state.processes.add_up)


def _precise_batches(
    state: State, epoch: int, is_stopped: Callable[[], bool]
) -> Iterator[tuple[torch.Tensor, slice]]:
    """Training images as pass `epoch` over them draws them, whole batches up to recipe.precise_images."""
    run = state.run
    limit = run.recipe.precise_images or state.dataset.num_train
    batches = train_batches(
        state.dataset,
        seed=run.seed,
        epoch=epoch,
        total_batch=run.total_batch,
        workers=run.workers,
        share=state.processes.share,
    )
    num = max(1, min(state.num_steps, limit // run.total_batch))
    for batch in _until_stopped(state, batches, num, is_stopped):
        for part, workers in passes(run, batch):
            yield part.images, workers
