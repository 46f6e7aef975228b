"""The training loop: a generator of records. The caller decides what becomes of them."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch

from gnexp.data.loader import num_steps, train_batches
from gnexp.engine.evaluate import evaluate
from gnexp.engine.optimizer import lr_at
from gnexp.engine.probe import probe
from gnexp.engine.state import State
from gnexp.nn.statistics import EVAL_STATS
from gnexp.nn.step import Step, step_listeners


class DivergedError(Exception):
    """The loss or a weight is not finite.

    Raised before an update with a bad loss, and before a record of an epoch that ended in bad weights. The last
    checkpoint is the last good state: batch normalization's running statistics have seen the bad batch by now.
    """


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One step is done."""

    epoch: int  # counted from 1
    step: int  # within the epoch, counted from 1
    num_steps: int
    loss: float


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One epoch is done; the state may be saved now."""

    metrics: dict[str, float | int]  # epoch, lr, split/name: a function of the config alone
    timing: dict[str, float | int]  # epoch, seconds, images_per_second: of this machine


def train(state: State) -> Iterator[StepRecord | EpochRecord]:
    """Trains from the state's epoch to the recipe's last one.

    Raises:
        DivergedError: the loss or a weight is not finite.
    """
    recipe = state.run.recipe
    while state.epoch < recipe.epochs:
        start = time.perf_counter()
        loss_sum, score_sum, num_images = yield from _train_epoch(state)
        trained = time.perf_counter()
        if not all(bool(parameter.isfinite().all()) for parameter in state.model.parameters()):
            raise DivergedError(f"a weight is not finite at the end of epoch {state.epoch + 1}")
        probed = probe(state)
        if not all(map(math.isfinite, probed.values())):
            raise DivergedError(
                f"the probed layer's output is not finite at the end of epoch {state.epoch + 1}"
            )
        lr = state.optimizer.param_groups[0]["lr"]
        state.epoch += 1
        score = state.task.score
        metrics: dict[str, float | int] = {
            "epoch": state.epoch,
            "lr": lr,
            "train/loss": loss_sum / num_images,
            f"train/{score}": 100 * score_sum / num_images,
        }
        is_reported = state.epoch > recipe.epochs - recipe.report_epochs
        for stats, value in evaluate(state, EVAL_STATS if is_reported else EVAL_STATS[:1]).items():
            metrics[f"val/{score}" if stats == "worker0" else f"val/{score}_{stats}"] = value
        metrics |= probed
        timing: dict[str, float | int] = {
            "epoch": state.epoch,
            "train_seconds": trained - start,
            "eval_seconds": time.perf_counter() - trained,
            "images_per_second": num_images / (trained - start),
        }
        yield EpochRecord(metrics=metrics, timing=timing)


def _train_epoch(state: State) -> Generator[StepRecord, None, tuple[float, int, int]]:
    """One epoch's steps; returns the sums of loss and score over its images, and their number."""
    run, model, optimizer = state.run, state.model, state.optimizer
    steps = num_steps(state.dataset, run.total_batch)
    loss_sum, score_sum = 0.0, torch.zeros((), dtype=torch.long, device=next(model.parameters()).device)
    model.train()
    listeners = step_listeners(model)
    batches = train_batches(state.dataset, seed=run.seed, epoch=state.epoch, total_batch=run.total_batch)
    with contextlib.closing(batches):
        for step, batch in enumerate(batches):
            for group in optimizer.param_groups:
                group["lr"] = lr_at(run, state.epoch, step, steps)
            if listeners:
                now = Step(run.seed, state.epoch, state.epoch + step / steps, batch.indices)
                for listener in listeners:
                    listener.begin_step(now)
            optimizer.zero_grad(set_to_none=True)
            loss, score = state.task.step(model, batch)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise DivergedError(
                    f"the loss became {value} in epoch {state.epoch + 1}, step {step + 1} of {steps}"
                )
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            loss_sum += value * run.total_batch
            score_sum += score
            yield StepRecord(epoch=state.epoch + 1, step=step + 1, num_steps=steps, loss=value)
    return loss_sum, int(score_sum), steps * run.total_batch
