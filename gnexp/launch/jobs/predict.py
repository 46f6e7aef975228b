"""What a network says of images: `predict SETTINGS`, JSON of spec, is_file, images, eval_stats, output and top."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from gnexp.engine.device import choose_device
from gnexp.experiments.finished import read_classes
from gnexp.experiments.predict import Classes, classify, detect, find_images
from gnexp.experiments.prediction import load, load_file
from gnexp.experiments.run import set_threads
from gnexp.runs.spec import load_spec
from gnexp.system.exit_codes import EXIT_DONE, EXIT_FAILED, EXIT_USER_ERROR
from gnexp.system.names import shown


def main(words: list[str]) -> int:
    """Prints classes or draws objects; returns 1 if some image could not be read, 2 if none could.

    Raises:
        ValueError: no such image, a run without final weights, or a network of videos.
    """
    settings: dict[str, Any] = json.loads(words[0])
    spec = load_spec(Path(settings["spec"]))
    if spec.run.model.has_frames:
        raise ValueError(f"gnexp predict takes images, {spec.run.model.label} is a network of videos")
    found = find_images(settings["images"])
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    set_threads(spec.run)
    if settings["is_file"]:
        predictor, notes = load_file(spec.run)
        print("\n".join(notes), end="\n" if notes else "", file=sys.stderr)
    else:
        predictor = load(spec.directory.path, eval_stats=settings["eval_stats"])
    predictor.to(choose_device(spec.run.device))
    classes = Classes(read_classes(spec.directory), spec.run.data.num_classes)
    folder = Path(settings["output"]) if settings["output"] else None
    with torch.inference_mode():
        if predictor.normalizes_itself:
            unread = detect(predictor, found.paths, classes, folder or Path("predictions"))
        else:
            unread = classify(predictor, found.paths, classes, settings["top"], folder)
    for reason in unread:
        print(f"bad: {shown(reason)}", file=sys.stderr)
    if len(unread) == len(found.paths):
        return EXIT_USER_ERROR
    return EXIT_FAILED if unread else EXIT_DONE
