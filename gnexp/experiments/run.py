"""One run: from spec.json to result.json, resumed from the last epoch's checkpoint where there is one."""

from __future__ import annotations

import json
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gnexp.config import RunConfig, from_dict, science
from gnexp.engine.checkpoint import load_checkpoint, save_checkpoint
from gnexp.engine.device import choose_device, describe
from gnexp.engine.evaluate import evaluate
from gnexp.engine.state import State, build
from gnexp.engine.train import DivergedError, EpochRecord, train
from gnexp.experiments.journal import Journal
from gnexp.experiments.lock import locked
from gnexp.experiments.result import DIVERGED, FINISHED, Result, load_result
from gnexp.experiments.screen import Screen

RESULT, CHECKPOINT, WEIGHTS = "result.json", "checkpoint.pt", "weights.pt"


@dataclass(frozen=True)
class Spec:
    """What a training process is told: the config, and by its place the run's directory."""

    run: RunConfig
    directory: Path


def load_spec(path: Path) -> Spec:
    """Reads a spec.json.

    Raises:
        ValueError: it is damaged, or its config is not the one that its run_id was made from.
    """
    try:
        values = json.loads(path.read_text())
        run = from_dict(values["config"])
        run_id = values["run_id"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path} is not a run's spec ({error}); start the run again with gnexp train"
        ) from None
    if run.run_id != run_id:
        raise ValueError(
            f"{path} says run_id {run_id}, its config makes {run.run_id}; start the run again with gnexp train"
        )
    return Spec(run, path.parent)


def set_threads(run: RunConfig) -> None:
    """Gives torch the threads that the run was granted."""
    if run.threads is not None:
        torch.set_num_threads(run.threads)


def train_run(spec: Spec, screen: Screen) -> Result:
    """Trains a run to its end and writes its result, or returns the result it has.

    Raises:
        ValueError: the config cannot be carried out here, or the directory holds another run's files.
        OSError: the directory cannot be written; what was saved before is still there.
    """
    run, directory = spec.run, spec.directory
    with locked(directory):
        if (directory / RESULT).exists():
            return load_result(directory / RESULT)
        device = choose_device(run.device)
        state = build(run, device)
        _resume(state, directory, device)
        with Journal(directory, done_epochs=state.epoch) as journal:
            env = journal.add_env(describe(run, device, commit()))
            screen.start(run, state)
            status = FINISHED
            try:
                for record in train(state):
                    screen.show(record)
                    if isinstance(record, EpochRecord):
                        # Records first: on resume, those past the checkpoint are cut back, never missing.
                        journal.add(record)
                        save_checkpoint(directory / CHECKPOINT, _checkpoint(state))
            except DivergedError as error:
                screen.say(f"diverged: {error}; the checkpoint of epoch {state.epoch} is kept")
                status = DIVERGED
            if status == FINISHED:
                save_checkpoint(directory / WEIGHTS, {"model": state.model.state_dict()})
            series, timing = journal.records()
        result = Result(
            run_id=run.run_id,
            label=run.label,
            scale=run.scale,
            status=status,
            science=science(run),
            metrics=_reported(series, run.recipe.report_epochs) if status == FINISHED else {},
            series=series,
            num_parameters=sum(parameter.numel() for parameter in state.model.parameters()),
            data_fingerprint=state.dataset.fingerprint,
            env=env,
            seconds=round(sum(t["train_seconds"] + t["eval_seconds"] for t in timing), 1),
        )
        result.save(directory / RESULT)
    screen.finish(result)
    return result


def evaluate_run(spec: Spec, eval_stats: list[str]) -> dict[str, float]:
    """The final weights' score on val under each of the named statistics, in percent.

    Raises:
        ValueError: the run has not finished, or diverged.
    """
    path = spec.directory / WEIGHTS
    result = spec.directory / RESULT
    if result.exists() and load_result(result).status == DIVERGED:
        raise ValueError(f"{spec.directory} diverged, so it has no final weights to score")
    if not path.exists():
        raise ValueError(f"{spec.directory} has no final weights; finish the run with gnexp train first")
    device = choose_device(spec.run.device)
    state = build(spec.run, device)
    state.model.load_state_dict(load_checkpoint(path, device)["model"])
    state.epoch = spec.run.recipe.epochs
    return evaluate(state, eval_stats)


def commit() -> dict[str, Any]:
    """The commit of the code that runs and whether it has changes; unknown outside a git checkout."""
    root = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return {"commit": "unknown", "dirty": None}
        # Results are what runs write: they do not make the code that wrote them another.
        return {
            "commit": git("rev-parse", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "--", ".", ":!results")),
        }
    except (OSError, subprocess.SubprocessError):
        return {"commit": "unknown", "dirty": None}


def _checkpoint(state: State) -> dict[str, Any]:
    return {"run_id": state.run.run_id, "data": state.dataset.fingerprint, "state": state.state_dict()}


def _resume(state: State, directory: Path, device: Any) -> None:
    path = directory / CHECKPOINT
    if not path.exists():
        return
    saved = load_checkpoint(path, device)
    if saved["run_id"] != state.run.run_id:
        raise ValueError(
            f"{path} belongs to run {saved['run_id']}, not to {state.run.run_id}; give it its own directory"
        )
    if saved["data"] != state.dataset.fingerprint:
        raise ValueError(
            f"the images of data={state.run.data.name} have changed since {path} was written "
            f"(sha256 {saved['data'][:12]} then, {state.dataset.fingerprint[:12]} now); "
            "bring the old images back, or delete the run's directory"
        )
    state.load_state_dict(saved["state"])


def _reported(series: list[dict[str, Any]], report_epochs: int) -> dict[str, float]:
    """The median of each metric over the last epochs (Section 4.1: the last 5)."""
    last = series[-report_epochs:]
    return {key: statistics.median(record[key] for record in last) for key in last[-1] if "/" in key}
