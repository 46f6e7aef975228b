"""One run: from its spec to its result, resumed from its last checkpoint where there is one."""

from __future__ import annotations

import contextlib
import shlex
import signal
import statistics
import time
from typing import Any

import torch

from gnexp.config import RunConfig, science
from gnexp.data.dataset import Dataset
from gnexp.data.remarks import file_warnings
from gnexp.engine.checkpoint import Checkpoints, load_tensors, save_tensors
from gnexp.engine.device import choose_device, describe
from gnexp.engine.initial_weights import load_initial_weights
from gnexp.engine.processes import Processes, joined, rank
from gnexp.engine.state import State, build
from gnexp.engine.train import DivergedError, EpochRecord, Stopped, train
from gnexp.experiments.journal import Journal
from gnexp.experiments.screen import Screen
from gnexp.runs.lock import locked
from gnexp.runs.result import DIVERGED, FINISHED, Result, load_result
from gnexp.runs.skipped import read_skipped
from gnexp.runs.spec import Spec
from gnexp.runs.status import DONE, PREEMPTED, RUNNING, Status
from gnexp.system.commit import commit
from gnexp.system.files import remove_leftovers, write_json
from gnexp.system.names import shown, stored, write_reasons
from gnexp.system.signals import Stopper, StopRequest

_SIGN_SECONDS = 30.0  # between two signs of life


def set_threads(run: RunConfig) -> None:
    """Gives torch the threads that the run was granted."""
    if run.threads is not None:
        torch.set_num_threads(run.threads)


def train_run(spec: Spec, stopper: Stopper | None = None) -> Result:
    """Trains a run to its end and writes its result, or returns the result it has. Every process of the run calls it.

    Args:
        spec: the run.
        stopper: knows of the signals that ask to stop; None where nobody asks.

    Raises:
        ValueError: the config cannot be carried out here, or the directory holds another run's files.
        StopRequest: asked to stop; all that was done is in the checkpoint.
        OSError: the directory cannot be written; what was saved before is still there.
    """
    run, directory = spec.run, spec.directory
    device = choose_device(run.device)
    is_first = rank() == 0
    with locked(directory) if is_first else contextlib.nullcontext(), joined(run, device) as processes:
        if processes.from_first(directory.result.exists()):
            return load_result(directory.result)
        if is_first:
            remove_leftovers(directory.path)
        screen = Screen(directory, is_shown=is_first)
        status = Status(directory) if is_first else None
        if status:
            status.say(RUNNING)  # to open the data may take minutes
        segment = _Segment(spec, processes, device, screen, status)
        with stopper.deferred() if stopper else contextlib.nullcontext(), file_warnings(screen.remark):
            result = segment.train(stopper or Stopper())
    screen.finish(result)
    return result


class _Segment:
    """One segment of a run: resumes, trains until the end or until it is asked to stop, and saves on the way."""

    def __init__(
        self, spec: Spec, processes: Processes, device: torch.device, screen: Screen, status: Status | None
    ) -> None:
        self.run, self.directory, self.processes, self.screen = spec.run, spec.directory, processes, screen
        self.status = status
        self.checkpoints = Checkpoints(spec.directory)
        self.state = build(spec.run, device, processes)
        self.saved_at = self.said_at = time.monotonic()
        self.saved_position = self._resume(device)
        if spec.run.init is not None and self.saved_position == (0, 0):
            first = processes.rank * spec.run.virtual_workers
            for note in load_initial_weights(self.state.model, spec.run, device, first_worker=first):
                screen.say(note)

    def train(self, stopper: Stopper) -> Result:
        state, screen = self.state, self.screen
        first = self.processes.is_first
        with Journal(self.directory, done_epochs=state.epoch) if first else _NO_JOURNAL as journal:
            env = journal.add_env(describe(self.run, state.device, commit())) if journal else []
            if journal and (classes := classes_of(state.dataset)):
                write_json(self.directory.classes, classes)
            screen.start(self.run, state)
            self._say_status(RUNNING)
            outcome, last_words = FINISHED, ""
            try:
                for record in train(state, lambda: stopper.received is not None, self._is_due):
                    if isinstance(record, EpochRecord):
                        # Records first: on resume, those past the checkpoint are cut back, never missing.
                        if journal:
                            journal.add(record)
                        self._say_skipped()  # before it is saved: an epoch that ends the run ends it again
                        self._save()
                    elif record.is_due:
                        self._save()
                    if time.monotonic() - self.said_at >= _SIGN_SECONDS:
                        self._say_status(RUNNING)
                    screen.show(record)  # of what is saved
            except Stopped:
                self._save()
                self._say_status(PREEMPTED)
                screen.say(f"stopped at {_place(state)}; the same command goes on from there")
                raise StopRequest(stopper.received or signal.SIGTERM) from None
            except DivergedError as error:
                last_words = f"diverged: {error}; the checkpoint of {_named(self.saved_position)} is kept"
                outcome = DIVERGED
            weights = state.model_state()
            if journal is None:
                self.processes.from_first(None)  # until the first process has written the result
                return load_result(self.directory.result)
            if outcome == FINISHED:
                save_tensors(self.directory.weights, {"run_id": self.run.run_id, "model": weights})
            result = self._result(outcome, env, *journal.records())
        result.save(self.directory.result)
        self._say_status(DONE)
        if last_words:
            screen.say(last_words)
        self.processes.from_first(None)
        return result

    def _result(
        self, outcome: str, env: list[Any], series: list[dict[str, Any]], timing: list[dict[str, Any]]
    ) -> Result:
        run = self.run
        return Result(
            run_id=run.run_id,
            label=run.label,
            scale=run.scale,
            status=outcome,
            science=science(run),
            metrics=_reported(series, run.recipe.report_epochs) if outcome == FINISHED else {},
            series=series,
            num_parameters=sum(parameter.numel() for parameter in self.state.model.parameters()),
            data_fingerprint=self.state.dataset.fingerprint,
            env=env,
            seconds=round(sum(t["train_seconds"] + t["eval_seconds"] for t in timing), 1),
            num_skipped=len(read_skipped(self.directory)),
        )

    def _say_status(self, word: str) -> None:
        self.said_at = time.monotonic()
        if self.status:
            self.status.say(word, epoch=self.state.epoch, step=self.state.step)

    def _say_skipped(self) -> None:
        """Keeps a list of which files could not be read; in training others stand in. Every process calls it."""
        if not self.run.data.skips_errors:
            return
        found: dict[str, str] = {}
        for part in self.processes.gather(dict(self.state.dataset.skipped)):
            found |= {stored(path): reason for path, reason in part.items()}
        path = self.directory.skipped
        known = read_skipped(self.directory) if self.processes.is_first else {}
        if self.processes.is_first and (new := found.keys() - known.keys()):
            listed = known | found
            write_reasons(path, listed)
            self.screen.warn(
                f"{len(listed)} file(s) or entries cannot be used as they are; others stand in for unreadable files of "
                f"training, and what is left out of val is not in the score: see {path} "
                f"(new: {shown(min(new))})"
            )
        most = self.run.data.most_skipped
        # Of all processes; each ends sooner by its own count alone. An earlier segment's may have been mended since.
        if len(found) > most:
            raise ValueError(
                f"more than data.max_skipped={most} files or entries cannot be used, see {path}; mend "
                f"the folder (gnexp data check {shlex.quote(str(self.run.data.folder))}), or raise data.max_skipped"
            )

    def _is_due(self) -> bool:
        return time.monotonic() - self.saved_at >= 60 * self.run.checkpoint_minutes

    def _save(self) -> None:
        """Writes a checkpoint unless nothing has been done since the last. Every process calls it."""
        state = self.state
        position = (state.epoch, state.step)
        if position != self.saved_position:
            values = {
                "run_id": self.run.run_id,
                "data": state.dataset.fingerprint,
                "state": state.state_dict(),
            }
            if self.processes.is_first:
                self.checkpoints.save(values, epoch=state.epoch, step=state.step)
        self.saved_at, self.saved_position = time.monotonic(), position

    def _resume(self, device: torch.device) -> tuple[int, int]:
        """Goes back to the newest whole checkpoint; returns where it stands."""
        state = self.state
        # The first process looks and puts aside what is damaged; the others read the very file that it has chosen.
        saved, problems = self.checkpoints.load(device) if self.processes.is_first else (None, [])
        name = self.processes.from_first(self.directory.all_checkpoints[0].name if saved else None)
        if not self.processes.is_first and name is not None:
            saved = load_tensors(self.directory.checkpoints / name, device)
        for problem in problems:
            self.screen.warn(f"{problem}; going back to the checkpoint before it")
        if saved is None:
            lines = self.directory.num_epochs
            if lines > 1:  # the record of epoch 1 may be there just before the first checkpoint is
                raise ValueError(
                    f"{self.directory} has the records of {lines} epochs and no checkpoint; "
                    "bring one back, or delete the directory to start this run again"
                )
            return 0, 0
        if saved["run_id"] != self.run.run_id:
            raise ValueError(
                f"{self.directory.all_checkpoints[0]} belongs to run {saved['run_id']}, not to {self.run.run_id}; "
                "give it its own directory"
            )
        if saved["data"] != state.dataset.fingerprint:
            raise ValueError(
                f"the images of data={self.run.data.name} have changed since {self.directory.all_checkpoints[0]} was "
                f"written (sha256 {saved['data'][:12]} then, {state.dataset.fingerprint[:12]} now); "
                "bring the old images back, or delete the run's directory"
            )
        state.load_state_dict(saved["state"])
        return state.epoch, state.step


_NO_JOURNAL: contextlib.nullcontext[None] = contextlib.nullcontext()


def _place(state: State) -> str:
    return _named((state.epoch, state.step))


def _named(position: tuple[int, int]) -> str:
    epoch, step = position
    return (
        f"epoch {epoch + 1}, step {step}" if step else f"the end of epoch {epoch}" if epoch else "the start"
    )


def classes_of(dataset: Dataset) -> dict[str, Any]:
    """What a run keeps of the classes: names in the labels' order and, of COCO's sets, the ids in its files."""
    names, ids = (getattr(dataset, key, None) for key in ("class_names", "category_ids"))
    if names is None:
        return {}
    return {"class_names": list(names)} | ({} if ids is None else {"category_ids": list(ids)})


def _reported(series: list[dict[str, Any]], report_epochs: int) -> dict[str, float]:
    """The median of each metric over the last epochs (Section 4.1: the last 5)."""
    last = series[-report_epochs:]  # each of them evaluated
    return {key: statistics.median(record[key] for record in last) for key in last[-1] if "/" in key}
