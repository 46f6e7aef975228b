"""What can be done with a finished run: its weights, its scores under other statistics, pictures of what it finds."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from gnexp.data.dataset import Batch, Dataset
from gnexp.engine.checkpoint import load_tensors
from gnexp.engine.device import choose_device
from gnexp.engine.evaluate import eval_model, measure_val
from gnexp.engine.initial_weights import load_initial_weights
from gnexp.engine.state import State, build
from gnexp.nn.statistics import alike
from gnexp.runs.directory import RunDirectory
from gnexp.runs.pictures import Pictures
from gnexp.runs.result import DIVERGED, finished
from gnexp.runs.spec import Spec
from gnexp.system.commit import commit
from gnexp.system.files import write_bytes, write_text
from gnexp.tasks.pictures import LEAST_SCORE


def final_weights(spec: Spec, device: torch.device) -> dict[str, torch.Tensor]:
    """What a finished run's training ended with; running statistics are (workers, C).

    Raises:
        ValueError: the run has not finished, or diverged.
    """
    path, result = spec.directory.weights, finished(spec.directory)
    if result is not None and result.status == DIVERGED:
        raise ValueError(f"{spec.directory} diverged, so it has no final weights")
    if not path.exists():
        raise ValueError(f"{spec.directory} has no final weights; finish the run with gnexp train first")
    weights: dict[str, torch.Tensor] = load_tensors(path, device)["model"]
    return weights


def finished_state(spec: Spec) -> State:
    """A finished run as it ended, in one process whoever trained it: its workers are all of them.

    Raises:
        ValueError: the run has not finished, or diverged.
    """
    device = choose_device(spec.run.device)
    weights = final_weights(spec, device)
    state = build(dataclasses.replace(spec.run, processes=1), device)
    state.load_model_state(weights)
    return state


def initial_state(spec: Spec) -> tuple[State, list[str]]:
    """A model with the weights that its run would start from, to be evaluated: of its data val alone is needed.

    Returns:
        The state, and what a person should know of the weights.

    Raises:
        ValueError: the file cannot be read, or does not hold all of the model.
    """
    run = dataclasses.replace(spec.run, processes=1)
    device = choose_device(run.device)
    state = build(run, device, val_only=True)
    return state, load_initial_weights(state.model, run, device, whole=True)


def read_classes(directory: RunDirectory) -> dict[str, Any]:
    """What a run's classes are called, as its directory says; nothing of a run whose data has no names.

    Raises:
        ValueError: the file is torn.
    """
    path = directory.classes
    if not path.exists():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); remove it, and the classes have no names") from error
    return found


def evaluate_run(state: State, eval_stats: list[str], directory: RunDirectory) -> dict[str, dict[str, float]]:
    """A finished run's scores on val under each of the named statistics, in percent.

    What was detected is left in its directory, as COCO's own tools read it. A terminal shows how far it is.
    """
    found: dict[str, dict[str, float]] = {}
    measured = None
    for stats in eval_stats:
        if measured != alike(state.model, stats):
            measured = alike(state.model, stats)
            partials = measure_val(
                state, stats, state.run.recipe.epochs, watch=functools.partial(_shown, stats)
            )
        found[stats] = {}
        for view, of_view in partials:
            found[stats] |= state.task.aggregate(of_view, view)
            if (results := state.task.results(of_view)) is not None:
                write_text(directory.detections(stats), json.dumps(results))
    return found


def _shown(stats: str, batches: Iterator[Batch], view: Dataset) -> Iterator[Batch]:
    """The batches, and on a terminal how many of a view's images or videos have been measured."""
    is_hidden = not sys.stderr.isatty()
    with tqdm(total=view.num_val, desc=f"val, {stats}", unit="sample", leave=False, disable=is_hidden) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch.indices))


def save_pictures(state: State, num: int, stats: str, directory: RunDirectory) -> Path:
    """Draws what a finished run finds in the first images of val, into a folder of its directory; returns that folder.

    Raises:
        ValueError: the run is of a task without pictures.
    """
    folder, digests = directory.images, {}
    model = eval_model(state, stats, state.run.recipe.epochs)
    order = np.arange(min(num, state.dataset.num_val))
    directory.pictures.unlink(missing_ok=True)  # it must not speak for what is drawn now
    with state.autocast():
        for batch in state.dataset.val_batches([order[i : i + 1] for i in order]):
            for name, content in state.task.draw(model, batch, state.dataset):
                write_bytes(folder / name, content)
                digests[name] = hashlib.sha256(content).hexdigest()
    result = directory.result
    Pictures(
        run_id=state.run.run_id,
        eval_stats=stats,
        least_score=LEAST_SCORE,
        result=hashlib.sha256(result.read_bytes()).hexdigest() if result.exists() else None,
        sha256=digests,
        **commit(),
    ).save(directory.pictures)
    return folder
