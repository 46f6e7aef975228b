"""The training loop: a generator of records. The caller decides what becomes of them."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from gnexp.data.dataset import Batch
from gnexp.data.loader import train_batches
from gnexp.engine.evaluate import Stopped, evaluate, never, passes
from gnexp.engine.optimizer import lr_at
from gnexp.engine.probe import probe, probe_start
from gnexp.engine.state import State
from gnexp.nn.running_norm import RunningNormAct
from gnexp.nn.statistics import EVAL_STATS, batch_norms
from gnexp.nn.step import Step, StepListener, step_listeners
from gnexp.tasks.task import NotFiniteError

__all__ = ["DivergedError", "EpochRecord", "StepRecord", "Stopped", "train"]


class DivergedError(Exception):
    """The loss, a gradient, a weight, or what the model finds in evaluation is not finite.

    Raised before an update with a bad loss or gradient, and before a record of an epoch that ended in bad weights. The
    last checkpoint is the last good state: batch normalization's running statistics have seen the bad batch by now.
    """


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One step is done; the state may be saved now."""

    epoch: int  # counted from 1
    step: int  # within the epoch, counted from 1
    num_steps: int
    loss: float
    is_due: bool  # some process wants a checkpoint now


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One epoch is done; the state may be saved now."""

    metrics: dict[str, float | int]  # epoch, lr, split/name: a function of the config alone
    timing: dict[str, float | int]  # epoch, seconds, images_per_second: of this machine


def train(
    state: State, is_stopped: Callable[[], bool] = never, is_due: Callable[[], bool] = never
) -> Iterator[StepRecord | EpochRecord]:
    """Trains from where the state is to the recipe's last epoch. Every process of the run does so.

    Args:
        state: consistent whenever a record comes, and when Stopped is raised.
        is_stopped: whether this process was asked to leave; one such process is enough for all.
        is_due: whether this process wants a checkpoint; likewise.

    Raises:
        DivergedError: the loss, a gradient or a weight is not finite.
        Stopped: some process was asked to leave.
    """
    if (state.epoch, state.step) == (0, 0):
        state.probed_at_start = _finite(probe_start(state), "before training")
    while state.epoch < state.run.recipe.epochs:
        yield from _train_epoch(state, is_stopped, is_due)
        yield _finish_epoch(state, is_stopped)


def _finish_epoch(state: State, is_stopped: Callable[[], bool]) -> EpochRecord:
    """Evaluates after an epoch's last step. The epoch counts once that is done: stopped here, it is done again."""
    run, start = state.run, time.perf_counter()
    epoch = state.epoch + 1
    if not all(bool(parameter.isfinite().all()) for parameter in state.model.parameters()):
        raise DivergedError(f"a weight is not finite at the end of epoch {epoch}")
    probed = _finite(probe(state), f"at the end of epoch {epoch}")
    if epoch == 1:
        probed = state.probed_at_start | probed
    num_images = state.num_steps * run.total_batch
    metrics: dict[str, float | int] = {
        "epoch": epoch,
        "lr": state.optimizer.param_groups[0]["lr"],
        "train/loss": state.loss_sum / num_images,
    }
    if state.task.train_score is not None:
        metrics[f"train/{state.task.train_score}"] = 100 * state.score_sum / num_images
    recipe = run.recipe
    eval_stats = EVAL_STATS if recipe.is_reported(epoch) else EVAL_STATS[: recipe.is_evaluated(epoch)]
    try:
        found = evaluate(
            state, eval_stats, epoch=epoch, is_thorough=recipe.is_scored(epoch), is_stopped=is_stopped
        )
    except NotFiniteError as error:
        raise DivergedError(f"{error} (after epoch {epoch})") from None
    for stats, scores in found.items():
        for name, value in scores.items():
            metrics[f"val/{name}" if stats == "worker0" else f"val/{name}_{stats}"] = value
    metrics |= probed
    timing: dict[str, float | int] = {
        "epoch": epoch,
        "train_seconds": state.train_seconds,
        "eval_seconds": time.perf_counter() - start,
        "images_per_second": num_images / state.train_seconds,
    }
    state.epoch, state.step = epoch, 0
    state.loss_sum = state.score_sum = state.train_seconds = 0.0
    return EpochRecord(metrics=metrics, timing=timing)


def _train_epoch(
    state: State, is_stopped: Callable[[], bool], is_due: Callable[[], bool]
) -> Iterator[StepRecord]:
    """The steps of an epoch that are not done yet."""
    run, processes, steps = state.run, state.processes, state.num_steps
    if processes.any(is_stopped()):
        raise Stopped
    if state.step == steps:
        return
    state.model.train()
    listeners, norms = step_listeners(state.model), batch_norms(state.model)
    batches = train_batches(
        state.dataset,
        seed=run.seed,
        epoch=state.epoch,
        total_batch=run.total_batch,
        workers=run.workers,
        share=processes.share,
        first_step=state.step,
        epoch_steps=run.recipe.epoch_steps,
    )
    before, seconds = time.perf_counter(), state.train_seconds
    with contextlib.closing(batches):
        for batch in batches:
            for group in state.optimizer.param_groups:
                group["lr"] = lr_at(run, state.epoch, state.step, steps) * group.get("lr_factor", 1.0)
            own = _forward_backward(state, batch, listeners, norms)
            loss, score, wants_stop, wants_save = processes.sum([*own, is_stopped(), is_due()])
            loss /= processes.world_size
            _check_finite(state, loss)
            state.scaler.step(state.optimizer)
            state.scaler.update()
            state.step += 1
            state.loss_sum += loss * run.total_batch
            state.score_sum += score
            state.train_seconds = seconds + time.perf_counter() - before
            yield StepRecord(
                epoch=state.epoch + 1, step=state.step, num_steps=steps, loss=loss, is_due=wants_save > 0
            )
            if wants_stop > 0:
                raise Stopped


def _forward_backward(
    state: State, batch: Batch, listeners: Sequence[StepListener], norms: Sequence[RunningNormAct]
) -> list[float]:
    """Leaves a step's gradients in the model, and returns this process's mean loss and its sum of the score."""
    run = state.run
    state.optimizer.zero_grad(set_to_none=True)
    parts = list(passes(run, batch))
    sums = torch.zeros(2, dtype=torch.float64, device=state.device)
    for index, (part, workers) in enumerate(parts):
        for norm in norms:
            norm.take_workers(workers)
        done_epochs, num_workers = state.epoch + state.step / state.num_steps, workers.stop - workers.start
        now = Step(run.seed, state.data_pass, done_epochs, part.indices, num_workers)
        for listener in listeners:
            listener.begin_step(now)
        with state.processes.accumulating(state.replica, is_last=index == len(parts) - 1):
            with state.autocast():
                loss, score = state.task.step(state.replica, part)
            loss = loss / len(parts)
            state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        sums += torch.stack([loss.detach().double(), score.double()])
    return [float(value) for value in sums.tolist()]


def _finite(probed: dict[str, float], when: str) -> dict[str, float]:
    if not all(map(math.isfinite, probed.values())):
        raise DivergedError(f"the probed layer's output is not finite {when}")
    return probed


def _check_finite(state: State, loss: float) -> None:
    """Raises DivergedError before an update that would ruin the weights."""
    where = f"in epoch {state.epoch + 1}, step {state.step + 1} of {state.num_steps}"
    if not math.isfinite(loss):
        raise DivergedError(f"the loss became {loss} {where}")
    if state.scaler.is_enabled():
        return  # half precision overflows now and then: the scaler leaves such a step out and scales down
    # The optimizer's own list: to walk the modules takes a small model's step a twentieth of its time.
    parameters = [parameter for group in state.optimizer.param_groups for parameter in group["params"]]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not bool(torch.nn.utils.get_total_norm(gradients).isfinite()):
        raise DivergedError(f"a gradient is not finite {where}")
