"""From somebody's image files to classes and probabilities, or to boxes and masks, drawn and as COCO has them."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from gnexp.config import DataConfig
from gnexp.data.class_files import IMAGE_SUFFIXES
from gnexp.data.images.decode import UnreadableImageError, center_crop, read_box
from gnexp.data.images.folders import Others, walk
from gnexp.experiments.prediction import Predictor
from gnexp.system.files import write_bytes, write_json
from gnexp.system.names import shown, stored
from gnexp.tasks.coco_eval import to_results
from gnexp.tasks.pictures import draw_found

_AT_ONCE = 16  # images
_GRAY = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601), as Pillow's


@dataclass
class Images:
    """Files to look at, in order and each once, and what a person should know of those passed over."""

    paths: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Classes:
    """What a run's files call its classes.

    Args:
        found: class_names and category_ids, of a run whose data has them.
        num: of the network's classes.
    """

    def __init__(self, found: Mapping[str, Any], num: int) -> None:
        self.names: list[str] = found.get("class_names") or [f"class {label}" for label in range(num)]
        self.ids: list[int] = found.get("category_ids") or list(range(1, num + 1))


def find_images(words: Sequence[str]) -> Images:
    """The files that words name: files as they are, folders with all below them, patterns with what matches.

    Raises:
        ValueError: a word that names nothing, or no image in all of them.
    """
    found = Images()
    for word in words:
        matches = [word] if os.path.exists(word) else sorted(glob.glob(word, recursive=True))
        if not matches:
            raise ValueError(f"there is no image or folder {word}, and nothing that matches it")
        for match in matches:
            if os.path.isdir(match):
                others = Others()
                inside = walk(os.fsencode(match), IMAGE_SUFFIXES, others)
                found.paths += [os.path.join(match, os.fsdecode(path)) for path in inside]
                if line := others.line(Path(match)):
                    found.notes.append(f"{shown(match)}: {line}")
            else:
                found.paths.append(match)
    found.paths = list(dict.fromkeys(found.paths))
    if not found.paths:
        suffixes = ", ".join(suffix.decode() for suffix in IMAGE_SUFFIXES)
        raise ValueError(f"no image in {', '.join(words)} ({suffixes})")
    return found


def classify(
    predictor: Predictor, paths: Sequence[str], classes: Classes, top: int, folder: Path | None
) -> list[str]:
    """Prints the likeliest classes of each image, a line an image.

    Args:
        predictor: of a classifier.
        paths: of the images.
        classes: their names.
        top: how many of them.
        folder: where predictions.json goes, with all of them; None = nowhere.

    Returns:
        What could not be read, and why.
    """
    entries, unread = [], []
    for start in range(0, len(paths), _AT_ONCE):
        read = []
        for path in paths[start : start + _AT_ONCE]:
            try:
                read.append((path, _crop(path, predictor.run.data)))
            except UnreadableImageError as error:
                unread.append(str(error))
        if not read:
            continue
        pixels = torch.stack([image for _, image in read]).to(predictor.mean.device)
        for (path, _), probabilities in zip(read, predictor(pixels).float().softmax(1).cpu(), strict=True):
            values, labels = probabilities.sort(descending=True, stable=True)
            ranked = [(classes.names[i], p) for i, p in zip(labels.tolist(), values.tolist(), strict=True)]
            line = ", ".join(f"{name} {probability:.4f}" for name, probability in ranked[: max(1, top)])
            print(f"{shown(path)}: {shown(line)}", flush=True)
            listed = [{"name": name, "probability": probability} for name, probability in ranked]
            entries.append({"file": stored(path), "classes": listed})
    if folder is not None and entries:
        write_json(folder / "predictions.json", entries)
        print(f"probabilities of all classes: {folder / 'predictions.json'}")
    return unread


def detect(predictor: Predictor, paths: Sequence[str], classes: Classes, folder: Path) -> list[str]:
    """Draws what is found in each image, and writes all of it as COCO's annotation files have it, scores beside.

    Args:
        predictor: of a detector.
        paths: of the images.
        classes: their names and ids.
        folder: where NUMBER-NAME.png and detections.json go.

    Returns:
        What could not be read, and why.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    unread: list[str] = []
    for number, path in enumerate(paths, 1):
        try:
            pixels = _channels(
                read_box(path, lambda width, height: (0, 0, width, height)), predictor.run.data
            )
        except UnreadableImageError as error:
            unread.append(str(error))
            continue
        (found,) = predictor([pixels.to(predictor.mean.device)])
        picture = folder / f"{number:04d}-{Path(path).stem}.png"
        write_bytes(picture, draw_found(pixels.float() / 255, found, classes.names))
        height, width = pixels.shape[1:]
        images.append({"id": number, "file_name": stored(path), "width": width, "height": height})
        own = to_results([number], [found], classes.ids)
        annotations += [_annotation(entry, len(annotations) + i) for i, entry in enumerate(own, 1)]
        print(f"{shown(path)}: {len(own)} objects, {shown(str(picture))}", flush=True)
    if images:
        categories = [{"id": i, "name": name} for i, name in zip(classes.ids, classes.names, strict=True)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        write_json(folder / "detections.json", content)
        print(f"boxes and masks as COCO has them: {folder / 'detections.json'}")
    return unread


def _annotation(entry: dict[str, Any], number: int) -> dict[str, Any]:
    _, _, width, height = entry["bbox"]
    return {"id": number, **entry, "area": width * height, "iscrowd": 0}


def _crop(path: str, data: DataConfig) -> torch.Tensor:
    """A classifier's pixels, (channels, image_size, image_size) uint8, as its evaluation has them."""
    return _channels(center_crop(path, data.eval_side, data.image_size), data)


def _channels(pixels: torch.Tensor, data: DataConfig) -> torch.Tensor:
    """RGB as it is, or gray for a network that takes one channel."""
    if data.channels == pixels.shape[0]:
        return pixels.contiguous()
    weights = torch.tensor(_GRAY).view(3, 1, 1)
    return (pixels.float() * weights).sum(0, keepdim=True).round().to(torch.uint8)
