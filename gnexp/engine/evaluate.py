"""Evaluation under each choice of batch normalization's statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from gnexp.data.loader import train_batches, val_batches
from gnexp.engine.state import State
from gnexp.nn.statistics import batch_norms, with_eval_stats, with_precise_stats

# Images at once: the activations of more leave the cache. Evaluation is the same at every size.
_EVAL_SIZE = 200


def evaluate(state: State, eval_stats: Sequence[str]) -> dict[str, float]:
    """The task's score on val for each of the named statistics, in percent.

    A norm without running statistics has one score, whatever the statistics. The model itself is left as it is.
    """
    scores: dict[str, float] = {}
    has_running_stats = bool(batch_norms(state.model))
    for stats in eval_stats:
        if scores and not has_running_stats:
            scores[stats] = next(iter(scores.values()))
            continue
        if stats == "precise" and has_running_stats:
            model = precise_model(state)
        else:
            model = with_eval_stats(state.model, "worker0" if stats == "precise" else stats)
        scores[stats] = state.task.evaluate(model, val_batches(state.dataset, size=_EVAL_SIZE))
    return scores


def precise_model(state: State) -> nn.Module:
    """A copy of the model that evaluates with precise statistics."""
    return with_precise_stats(state.model, _precise_batches(state))


def _precise_batches(state: State) -> Iterator[torch.Tensor]:
    """Training images as the next epoch would draw them, whole batches up to recipe.precise_images."""
    run = state.run
    limit = run.recipe.precise_images or state.dataset.num_train
    batches = train_batches(state.dataset, seed=run.seed, epoch=state.epoch, total_batch=run.total_batch)
    for index, batch in enumerate(batches):
        if index > 0 and (index + 1) * run.total_batch > limit:
            break
        yield batch.images
