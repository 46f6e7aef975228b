"""What a person sees of a run: one line that moves on a terminal, plain lines elsewhere, and the log of it."""

from __future__ import annotations

import os
import shutil
import sys
import time

from tqdm import tqdm

from gnexp.config import RunConfig
from gnexp.config.kinds import packages_of
from gnexp.config.left_open import not_stated
from gnexp.config.words import counted, duration
from gnexp.data.remarks import FileWarning
from gnexp.engine.device import norm_impl
from gnexp.engine.state import State
from gnexp.engine.train import EpochRecord, StepRecord
from gnexp.experiments.pace import Pace
from gnexp.nn.statistics import EVAL_STATS
from gnexp.runs.directory import RunDirectory
from gnexp.runs.result import FINISHED, Result, score
from gnexp.runs.status import last_metrics

_NUM_SHOWN = 2  # scores on a line
_NUM_REMARKED = 10  # files
_LINE_SECONDS = 0.1  # between two states of the line on a terminal
_LOG_SECONDS = 600.0  # between two lines on the steps of an epoch, where there is no terminal and in the log


class Screen:
    """Shows a run's records. With GNEXP_QUIET set (a run among many) only the log gets them.

    Args:
        directory: the run's, whose log is appended to.
        is_shown: false in all but the first of a run's processes, which say nothing.
    """

    def __init__(self, directory: RunDirectory, *, is_shown: bool = True) -> None:
        self._directory = directory
        self._is_shown = is_shown
        self._is_quiet = bool(os.environ.get("GNEXP_QUIET"))
        self._line: tqdm[None] | None = None
        self._shown_at, self._logged_at = -_LINE_SECONDS, time.monotonic()
        self._epochs = 0
        self._scores: tuple[str, ...] = ()
        self._has_running_stats = True
        self._pace = Pace(0, 0)
        self._last_score = ""  # of the last evaluation
        self._remarked: set[str] = set()  # files

    def say(self, line: str) -> None:
        """One line for the person and the log."""
        self.log(line)
        if self._is_shown and not self._is_quiet:
            tqdm.write(line, file=sys.stdout)
            sys.stdout.flush()

    def log(self, line: str) -> None:
        """One line for the log alone."""
        if not self._is_shown:
            return
        with open(self._directory.log, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")

    def warn(self, line: str) -> None:
        """One line that a person must not miss, in a sweep's log as well."""
        self.say(f"warning: {line}")

    def remark(self, warning: FileWarning) -> None:
        """What a decoder remarks on a file: once a file, and of many files a few."""
        if warning.path in self._remarked or len(self._remarked) > _NUM_REMARKED:
            return
        self._remarked.add(warning.path)
        if len(self._remarked) > _NUM_REMARKED:
            self.say("note: decoders remark on more files; gnexp data check names them all")
        else:
            self.say(f"note: {warning}")

    def start(self, run: RunConfig, state: State) -> None:
        """Says what runs; what the paper leaves open goes to the log, where no screen is long enough for it."""
        self._epochs, self._scores = run.recipe.epochs, state.task.scores
        self._has_running_stats = any(norm.has_running_stats for norm in run.norms)
        self._pace = Pace(run.recipe.epochs, run.total_batch)
        self._last_score = score(last_metrics(self._directory))
        parameters = sum(parameter.numel() for parameter in state.model.parameters())
        self.say(f"run {run.run_id} {run.label} (scale {run.scale})")
        epoch = counted(state.dataset.num_train, "image")
        if run.recipe.epoch_steps is not None:
            epoch = f"{counted(run.recipe.epoch_steps, 'step')}, taken from {epoch}"
        self.say(
            f"{counted(run.workers, 'worker')} x {counted(run.batch, 'image')}, lr {run.lr:g}, "
            f"{counted(run.recipe.epochs, 'epoch')} of "
            f"{epoch}, {parameters} parameters, recipe {run.recipe.name}"
        )
        if impl := norm_impl(run, state.device):
            self.say(f"group normalization is {impl.name}: {impl.reason}")
        for kind, package in packages_of(run.norms).items():
            self.say(f"norm {kind} is of package {package}")
        for norm in {norm.word: norm for norm in run.norms if norm.freezes and run.init is None}.values():
            self.warn(
                f"norm={norm.word} holds fixed what a trained {norm.freezes} has learnt, and this run starts from no "
                "weights: it changes nothing, as if there were no norm; give init=, such as init=cell"
            )
        self.log(f"the paper does not state: {', '.join(not_stated(run))}")
        for note in (*getattr(state.model, "notes", ()), *state.dataset.notes):
            self.say(f"note: {note}")
        if run.processes > 1:
            self.say(f"{run.processes} processes with {counted(run.virtual_workers, 'worker')} each")
        if state.step:
            self.say(f"goes on from the checkpoint of epoch {state.epoch + 1}, step {state.step}")
        elif state.epoch:
            self.say(f"goes on from the checkpoint of epoch {state.epoch}")

    def show(self, record: StepRecord | EpochRecord) -> None:
        """A step moves the line of a terminal, an epoch makes one of its own."""
        self._pace.see(record)
        if isinstance(record, StepRecord):
            self._show_step(record)
            return
        self._close()
        metrics, timing = record.metrics, record.timing
        shown = ", ".join(
            f"{key} {value:.4g}" for key, value in metrics.items() if self._is_shown_on_screen(key)
        )
        self._last_score = score(metrics) or self._last_score
        self._logged_at = time.monotonic()
        self.say(f"epoch {metrics['epoch']}/{self._epochs}: {shown} ({_speed(timing['images_per_second'])})")

    def finish(self, result: Result) -> None:
        """Says how the run ended."""
        if result.status == FINISHED:
            scores = ", ".join(
                f"{key} {value:.2f} %"
                for key, value in result.metrics.items()
                if key.startswith("val/") and self._is_shown_on_screen(key)
            )
            self.say(f"finished in {result.seconds:.0f} s: {scores}")
        self.say(f"result: {self._directory.result}")

    def _is_shown_on_screen(self, key: str) -> bool:
        """Losses, and of many scores the first few: the rest is in the metrics. What must be equal is told once."""
        name = key.removeprefix("val/")
        if not self._has_running_stats and name.endswith(tuple(f"_{stats}" for stats in EVAL_STATS[1:])):
            return False
        hidden = self._scores[_NUM_SHOWN:]
        return "/" in key and not any(name == score or name.startswith(f"{score}_") for score in hidden)

    def _show_step(self, record: StepRecord) -> None:
        now, is_last = time.monotonic(), record.step == record.num_steps
        is_moving = self._is_shown and not self._is_quiet and sys.stderr.isatty()
        if is_moving and (is_last or now - self._shown_at >= _LINE_SECONDS):
            self._shown_at = now
            if self._line is None:
                self._line = tqdm(total=0, bar_format="{desc}", leave=False)
            columns = shutil.get_terminal_size().columns
            self._line.set_description_str(self._step(record)[: columns - 1])
        if now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            (self.log if is_moving else self.say)(self._step(record))

    def _step(self, record: StepRecord) -> str:
        """Where the run is: epoch, step, loss, speed, time left, and the error that the last evaluation found."""
        parts = [
            f"epoch {record.epoch}/{self._epochs}",
            f"step {record.step}/{record.num_steps}",
            f"loss {record.loss:.3f}",
        ]
        speed, left = self._pace.images_per_second, self._pace.seconds_left(record)
        if speed is not None and left is not None:
            parts += [_speed(speed), f"{duration(left)} left"]
        if self._last_score:
            parts.append(f"last {self._last_score}")
        return ", ".join(parts)

    def _close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


def _speed(images_per_second: float) -> str:
    """In whole images where they are many."""
    digits = f"{images_per_second:.0f}" if images_per_second >= 10 else f"{images_per_second:.2g}"
    return f"{digits} images/s"
