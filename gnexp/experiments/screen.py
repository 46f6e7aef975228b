"""What a person sees of a run: a bar on a terminal, plain lines elsewhere, the same lines in the run's log."""

from __future__ import annotations

import os
import sys
import time

from tqdm import tqdm

from gnexp.config import RunConfig
from gnexp.config.fields import ANY_TASK, walk
from gnexp.config.kinds import packages_of
from gnexp.config.spelling import spell
from gnexp.data.remarks import FileWarning
from gnexp.engine.device import norm_impl
from gnexp.engine.state import State
from gnexp.engine.train import EpochRecord, StepRecord
from gnexp.runs.directory import RunDirectory
from gnexp.runs.result import FINISHED, Result

_NUM_SHOWN = 2  # scores on a line
_NUM_REMARKED = 10  # files


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
        self._bar: tqdm[None] | None = None
        self._epochs = 0
        self._scores: tuple[str, ...] = ()
        self._remarked: set[str] = set()  # files

    def say(self, line: str) -> None:
        """One line for the person and the log."""
        if not self._is_shown:
            return
        with open(self._directory.log, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
        if not self._is_quiet:
            tqdm.write(line, file=sys.stdout)
            sys.stdout.flush()

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
        """Says what runs, and what the paper leaves open."""
        self._epochs, self._scores = run.recipe.epochs, state.task.scores
        parameters = sum(parameter.numel() for parameter in state.model.parameters())
        self.say(f"run {run.run_id} {run.label} (scale {run.scale})")
        epoch = f"{state.dataset.num_train} images"
        if run.recipe.epoch_steps is not None:
            epoch = f"{run.recipe.epoch_steps} steps, taken from {epoch}"
        self.say(
            f"{run.workers} workers x {run.batch} images, lr {run.lr:g}, {run.recipe.epochs} epochs of "
            f"{epoch}, {parameters} parameters, recipe {run.recipe.name}"
        )
        if impl := norm_impl(run, state.device):
            self.say(f"group normalization is {impl.name}: {impl.reason}")
        for kind, package in packages_of(run.norms).items():
            self.say(f"norm {kind} is of package {package}")
        self.say(f"the paper does not state: {', '.join(not_stated(run))}")
        for note in (*getattr(state.model, "notes", ()), *state.dataset.notes):
            self.say(f"note: {note}")
        if run.processes > 1:
            self.say(f"{run.processes} processes with {run.virtual_workers} worker(s) each")
        if state.step:
            self.say(f"goes on from the checkpoint of epoch {state.epoch + 1}, step {state.step}")
        elif state.epoch:
            self.say(f"goes on from the checkpoint of epoch {state.epoch}")

    def show(self, record: StepRecord | EpochRecord) -> None:
        """A step moves the bar, an epoch makes a line."""
        if isinstance(record, StepRecord):
            if self._is_shown and not self._is_quiet and sys.stderr.isatty():
                self._move(record)
            return
        self._close()
        metrics, timing = record.metrics, record.timing
        shown = ", ".join(
            f"{key} {value:.4g}" for key, value in metrics.items() if self._is_shown_on_screen(key)
        )
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
        """Losses, and of many scores the first few: the rest is in the metrics."""
        name = key.removeprefix("val/")
        hidden = self._scores[_NUM_SHOWN:]
        return "/" in key and not any(name == score or name.startswith(f"{score}_") for score in hidden)

    def _move(self, record: StepRecord) -> None:
        if self._bar is None:
            description = f"epoch {record.epoch}/{self._epochs}"
            self._bar = tqdm(
                total=record.num_steps, desc=description, unit="step", leave=False, dynamic_ncols=True
            )
        self._bar.update()
        if record.step % 10 == 0:
            self._bar.set_postfix(loss=f"{record.loss:.3f}", refresh=False)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _speed(images_per_second: float) -> str:
    """In whole images where they are many."""
    digits = f"{images_per_second:.0f}" if images_per_second >= 10 else f"{images_per_second:.2g}"
    return f"{digits} images/s"


def not_stated(run: RunConfig) -> list[str]:
    """The options that the paper leaves open, with the values that this run has for them."""
    told = []
    for key, f, value in walk(run):
        notes = f.metadata.get("left_open", {})
        is_others = value is None and f.metadata.get("told_by") == "optimizer"
        if is_others or not notes.keys() & {ANY_TASK, run.task.kind}:
            continue
        note = notes.get(run.task.kind, notes.get(ANY_TASK, ""))
        told.append(f"{key}={list(value) if isinstance(value, tuple) else spell(value)}{note}")
    if run.norm.has_running_stats:
        told.append("statistics of evaluation (all three are measured; a score's own name has worker 0's)")
    return told
