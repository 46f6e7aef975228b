"""How far a sweep is, from what its run directories say."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from gnexp.config.words import duration
from gnexp.runs.result import headline
from gnexp.runs.status import read_error
from gnexp.sweep.plan import PENDING, PlannedRun, readable_result

_POLL_SECONDS = 0.5


class Progress(threading.Thread):
    """Watches the run directories, since a launcher tells nothing before its last run has ended.

    On a terminal a bar counts epochs; elsewhere each run that ends makes a line.
    """

    def __init__(self, plan: Sequence[PlannedRun], side_by_side: int) -> None:
        super().__init__(daemon=True)
        self._plan = plan
        self._todo = [item for item in plan if item.state == PENDING]
        self._side_by_side = max(1, side_by_side)
        self._ended: set[str] = set()
        self._seconds: dict[str, list[float]] = {}  # cell -> what its finished runs took
        for item in plan:
            if item.seconds is not None:
                self._took(item, item.seconds)
        self._start_epochs = {item.run.run_id: item.run_dir.num_epochs for item in self._todo}
        self._begin = time.monotonic()
        self._over = threading.Event()
        total = sum(item.run.recipe.epochs for item in self._todo)
        self._bar: tqdm[Any] | None = None
        if sys.stderr.isatty():
            shape = "{l_bar}{bar}| {elapsed}{postfix}"
            self._bar = tqdm(total=total, dynamic_ncols=True, bar_format=shape)

    def run(self) -> None:
        """Polls until stopped."""
        while not self._over.wait(_POLL_SECONDS):
            self._poll()

    def stop(self) -> None:
        """Shows what ended last and takes the bar away."""
        if self._over.is_set():
            return
        self._over.set()
        self.join()
        self._poll()
        if self._bar is not None:
            self._bar.close()

    def _poll(self) -> None:
        for item in self._todo:
            if item.run.run_id in self._ended:
                continue
            if result := readable_result(item.run_dir):
                self._ended.add(item.run.run_id)
                self._took(item, result.seconds)
                self._say(f"{item.name}: {headline(result)} in {result.seconds:.0f} s")
            elif error := read_error(item.run_dir):
                self._ended.add(item.run.run_id)
                self._say(f"{item.name}: failed, {error}")
        if self._bar is not None:
            self._bar.n = sum(
                item.run.recipe.epochs if item.run.run_id in self._ended else item.run_dir.num_epochs
                for item in self._todo
            )
            self._bar.set_postfix_str(f"{len(self._ended)}/{len(self._todo)} runs{self._left()}")

    def _say(self, line: str) -> None:
        text = f"[{len(self._ended)}/{len(self._todo)}] {line}{self._left()}"
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()

    def _took(self, item: PlannedRun, seconds: float) -> None:
        self._seconds.setdefault(_cell(item), []).append(seconds)

    def _left(self) -> str:
        """The time left: a run takes what its cell's other seeds took, else its epochs at the pace so far."""
        open_runs = [item for item in self._todo if item.run.run_id not in self._ended]
        if not open_runs:
            return ""
        now = {item.run.run_id: item.run_dir.num_epochs for item in self._todo}
        moved = sum(
            (item.run.recipe.epochs if item.run.run_id in self._ended else now[item.run.run_id])
            - self._start_epochs[item.run.run_id]
            for item in self._todo
        )
        busy = min(self._side_by_side, len(self._todo)) * (time.monotonic() - self._begin)
        pace = busy / moved if moved > 0 else None
        left = 0.0
        for item in open_runs:
            part = 1 - min(1.0, now[item.run.run_id] / item.run.recipe.epochs)
            known = self._seconds.get(_cell(item))
            if known:
                left += statistics.fmean(known) * part
            elif pace is not None:
                left += pace * item.run.recipe.epochs * part
            else:
                return ""
        return f", about {duration(left / min(self._side_by_side, len(open_runs)))} left"


def _cell(item: PlannedRun) -> str:
    """What an item has in common with its cell's other seeds."""
    return f"{item.experiment} {item.cell.coordinates}"
