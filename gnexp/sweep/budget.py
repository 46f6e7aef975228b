"""The time that a sweep is given: a run is not started that could not end within it."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from gnexp.config import RunConfig, science
from gnexp.config.words import read_duration
from gnexp.runs.directory import find_run_dir
from gnexp.runs.throughput import Speed, choose_speed, read_speeds

_MOMENT = re.compile(r"@(\d+(?:\.\d+)?)")


def end_of(budget: str, now: float) -> float:
    """When it is over, in seconds since 1970.

    Args:
        budget: a time from now, such as 24h, or @ and a moment, as `date +@%s` prints one.
        now: likewise.

    Raises:
        ValueError: it is neither.
    """
    moment = _MOMENT.fullmatch(budget.strip())
    return float(moment[1]) if moment else now + read_duration("budget", budget)


def spelled(end: float) -> str:
    """A moment as a budget, for another process that reads it later."""
    return f"@{end:.0f}"


def can_end(run: RunConfig, runs_dir: Path, budget: str) -> bool:
    """Whether a run that starts now is expected to end in time; nothing is expected of one that no other is like."""
    now = time.time()
    return now + (seconds_left(run, runs_dir) or 0.0) < end_of(budget, now)


def seconds_left(run: RunConfig, runs_dir: Path) -> float | None:
    """What is left of a run at the speed of like ones in runs_dir, itself included; None where there is none."""
    speeds = read_speeds(runs_dir)
    known = choose_speed(run, {}, speeds)
    images = _images_an_epoch(run, speeds)
    if known is None or images is None:
        return None
    epochs = run.recipe.epochs - find_run_dir(runs_dir, run).num_epochs
    return max(0, epochs) * images / known.images_per_second


def _images_an_epoch(run: RunConfig, speeds: Sequence[Speed]) -> float | None:
    """By its config, or as a run on the same data had them."""
    if run.recipe.epoch_steps is not None:
        return run.recipe.epoch_steps * run.total_batch
    if run.data.num_train is not None:
        return run.data.num_train
    data = science(run)["data"]
    same = (s for s in speeds if s.science["data"] == data and "epoch_steps" not in s.science["recipe"])
    return next((speed.epoch_images for speed in same), None)
