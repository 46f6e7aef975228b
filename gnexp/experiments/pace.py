"""How fast a run goes now, and how long it still takes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from gnexp.engine.train import EpochRecord, StepRecord

_WINDOW = 200  # steps that the pace is a mean of


class Pace:
    """Watches the steps go by. Evaluation is counted as long as the last one took.

    Args:
        epochs: of the whole run.
        total_batch: images of a step.
        clock: seconds that only grow.
    """

    def __init__(self, epochs: int, total_batch: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._epochs, self._total_batch, self._clock = epochs, total_batch, clock
        self._seen: deque[tuple[float, int]] = deque(maxlen=_WINDOW)  # moment and step of this epoch
        self._epoch = 0
        self._seconds_a_step: float | None = None
        self._eval_seconds = 0.0

    def see(self, record: StepRecord | EpochRecord) -> None:
        """Takes in what is done."""
        if isinstance(record, EpochRecord):
            self._eval_seconds = float(record.timing["eval_seconds"])
            return
        if record.epoch != self._epoch:
            self._epoch = record.epoch
            self._seen.clear()  # an evaluation lies between
        now = self._clock()
        self._seen.append((now, record.step))
        (first, step) = self._seen[0]
        if record.step > step and now > first:
            self._seconds_a_step = (now - first) / (record.step - step)

    @property
    def images_per_second(self) -> float | None:
        """Of training, lately; None while nothing is known."""
        return None if self._seconds_a_step is None else self._total_batch / self._seconds_a_step

    def seconds_left(self, record: StepRecord) -> float | None:
        """Until the run's end, from a step on; None while nothing is known."""
        if self._seconds_a_step is None:
            return None
        epochs = self._epochs - record.epoch  # whole ones
        steps = record.num_steps - record.step + epochs * record.num_steps
        return steps * self._seconds_a_step + (epochs + 1) * self._eval_seconds
