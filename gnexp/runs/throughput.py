"""How fast runs went on a machine: what a plan takes for the speed of those still to come."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnexp.config import RunConfig, science
from gnexp.runs.directory import run_dirs
from gnexp.runs.result import load_result
from gnexp.runs.spec import load_spec

_NOT_SPEED = ("seed", "recipe", "init")  # what two runs may differ in and be as fast as each other
_OF_IMAGES = ("image_size", "channels")


@dataclass(frozen=True)
class Speed:
    """Of one run so far."""

    run_id: str
    science: Mapping[str, Any]
    machine: Mapping[str, Any]  # what env.json says of it
    images_per_second: float  # trained ones, over the time of training and evaluation
    epoch_images: float  # trained ones of an epoch


def read_speeds(runs_dir: Path, results_dir: Path | None = None) -> list[Speed]:
    """The speeds of runs with a finished epoch in run directories, and of results; what cannot be read is left out."""
    found: dict[str, Speed] = {}
    recorded = () if results_dir is None else _of_results(results_dir / "runs")
    for speed in (*recorded, *_of_runs(runs_dir)):
        found[speed.run_id] = speed
    return list(found.values())


def choose_speed(run: RunConfig, machine: Mapping[str, Any], speeds: Sequence[Speed]) -> Speeds | None:
    """The runs whose speed a run is expected to have.

    Those alike in all but seed and recipe if there are any; else those of the same network on images of the same
    size, in batches of any size.

    Args:
        run: the run to come.
        machine: its device and processor.
        speeds: from read_speeds.
    """
    place = {**machine, "processes": run.processes}
    here = [s for s in speeds if all(s.machine.get(key, 1) == value for key, value in place.items())]
    wanted = science(run)
    for aspect in (_whole, _network):
        found = [s.images_per_second for s in here if aspect(s.science) == aspect(wanted)]
        if found:
            return Speeds(statistics.median(found), aspect is _whole)
    return None


@dataclass(frozen=True)
class Speeds:
    """The median of some runs'."""

    images_per_second: float
    is_alike: bool  # of runs in batches of the same size, on the same data


def _whole(values: Mapping[str, Any]) -> Any:
    return {key: value for key, value in values.items() if key not in _NOT_SPEED}


def _network(values: Mapping[str, Any]) -> Any:
    images = {key: values["data"].get(key) for key in _OF_IMAGES}
    return [values["model"], values["norm"], images, values.get("precision")]


def _of_runs(runs_dir: Path) -> Iterator[Speed]:
    for directory in run_dirs(runs_dir):
        try:
            timing = directory.timing.read_text(encoding="utf-8")
            run = load_spec(directory.spec).run
            machine = json.loads(directory.env.read_text(encoding="utf-8"))[-1]
            lines = [json.loads(line) for line in timing.splitlines()]
            images, seconds = _sums(lines)
            yield Speed(run.run_id, science(run), machine, images / seconds, images / len(lines))
        except (OSError, ValueError, LookupError, TypeError, ZeroDivisionError):
            continue  # torn, or not an epoch done


def _sums(lines: Iterable[Mapping[str, float]]) -> tuple[float, float]:
    """Trained images, and the seconds of training and evaluation."""
    images = seconds = 0.0
    for line in lines:
        images += line["images_per_second"] * line["train_seconds"]
        seconds += line["train_seconds"] + line["eval_seconds"]
    return images, seconds


def _of_results(folder: Path) -> Iterator[Speed]:
    for path in sorted(folder.glob("*.json")):
        try:
            result = load_result(path)
            total_batch = result.science["batch"] * result.science["workers"]
            steps = result.science["data"]["num_train"] // total_batch  # a whole folder's size is not in it
            of_epoch = steps * total_batch
            per_second = len(result.series) * of_epoch / result.seconds
            yield Speed(result.run_id, result.science, result.env[-1], per_second, of_epoch)
        except (OSError, ValueError, LookupError, TypeError, ZeroDivisionError):
            continue
