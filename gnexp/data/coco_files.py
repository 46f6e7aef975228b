"""A split of a data set in COCO's layout: its annotation file, checked whole and kept compact.

Nothing is trusted: an entry that training or evaluation could trip over is told when the data set is opened.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_coco_eval.core import mask as mask_api

from gnexp.data.coco_check import (
    Entry,
    check_annotation,
    check_image,
    first_line,
    no_number,
    read_ids,
    refuse,
    to_rle,
)
from gnexp.ops.resizing import nearest_pixels


@dataclass(frozen=True)
class CocoFiles:
    """The images of a split by id, and the usable annotations of each: no crowd, a box of at least 1 x 1 pixels.

    Segmentations stay JSON in one block of bytes: COCO's 860,000 as Python's objects would take gigabytes, in every
    loader process.
    """

    folder: Path  # of the images
    annotations: Path  # the file
    names: tuple[str, ...]  # (N,) of the image files
    image_ids: npt.NDArray[np.int64]  # (N,)
    sizes: npt.NDArray[np.int64]  # (N, 2): height, width
    starts: npt.NDArray[np.int64]  # (N + 1,): annotations starts[i] to starts[i + 1] are image i's
    annotation_ids: npt.NDArray[np.int64]  # (M,)
    boxes: npt.NDArray[np.float32]  # (M, 4): x1, y1, x2, y2 in pixels, within the image
    labels: npt.NDArray[np.int64]  # (M,), 1 to the number of categories
    segmentations: bytes  # all of them, one after the other
    ends: npt.NDArray[np.int64]  # (M + 1,): segmentation j is the bytes ends[j] to ends[j + 1]
    category_ids: tuple[int, ...]  # the file's id of label 1, 2, ...
    digest: str  # sha256 of the annotation file, and of the images' names and sizes in bytes

    def path(self, image: int) -> str:
        """Of image `image`."""
        return str(self.folder / self.names[image])

    def target(self, image: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Boxes, (n, 4), and labels, (n,), of an image."""
        own = slice(self.starts[image], self.starts[image + 1])
        return self.boxes[own], self.labels[own]

    def mask(self, image: int, row: int) -> npt.NDArray[np.uint8]:
        """The mask of one of an image's annotations, (H, W), columns first in memory.

        Raises:
            ValueError: it cannot be decoded.
        """
        height, width = (int(side) for side in self.sizes[image])
        j = self.starts[image] + row
        segmentation = json.loads(self.segmentations[self.ends[j] : self.ends[j + 1]])
        try:
            mask: npt.NDArray[np.uint8] = mask_api.decode(to_rle(segmentation, height, width))
        except (ValueError, RuntimeError) as error:
            refuse(
                self.annotations,
                f"annotation {self.annotation_ids[j]}",
                f"its segmentation cannot be decoded ({first_line(error)})",
            )
        return mask

    def masks(
        self, image: int, size: tuple[int, int] | None = None, *, is_flipped: bool = False
    ) -> npt.NDArray[np.uint8]:
        """Masks of an image's annotations, (n, h, w).

        Decoded one after the other, so that no more than one is as large as its image.

        Args:
            image: of the split.
            size: h and w, for each of whose pixels the nearest one is taken; None = the image's own.
            is_flipped: whether they are mirrored, left and right, before.

        Raises:
            ValueError: one that cannot be decoded.
        """
        own = tuple(int(side) for side in self.sizes[image])
        height, width = size or own
        rows, columns = nearest_pixels(own[0], height), nearest_pixels(own[1], width)
        if is_flipped:
            columns = own[1] - 1 - columns
        masks = np.zeros((self.starts[image + 1] - self.starts[image], height, width), dtype=np.uint8)
        for row, kept in enumerate(masks):
            kept[:] = self.mask(image, row)[:, columns][rows]
        return masks

    def choose(self, kept: npt.NDArray[np.int64]) -> CocoFiles:
        """The images `kept` alone, in that order."""
        counts = np.diff(self.starts)[kept]
        annotations = np.concatenate(
            [np.arange(self.starts[i], self.starts[i + 1]) for i in kept] or [np.arange(0)]
        )
        pieces = [self.segmentations[self.ends[j] : self.ends[j + 1]] for j in annotations]
        return CocoFiles(
            self.folder,
            self.annotations,
            tuple(self.names[i] for i in kept),
            self.image_ids[kept],
            self.sizes[kept],
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            self.annotation_ids[annotations],
            self.boxes[annotations],
            self.labels[annotations],
            b"".join(pieces),
            _ends(pieces),
            self.category_ids,
            self.digest,
        )


def read_json(path: Path) -> tuple[Entry, bytes]:
    """An annotation file's content, as objects and as it is.

    Raises:
        ValueError: it is missing, cannot be read or is no JSON object.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"cannot read {path}: {error.strerror}; data.root must hold train2017/, val2017/ and annotations/"
        ) from error
    try:
        found = json.loads(content, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} must be JSON, got {first_line(error)}; copy it again, or mend it"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} must be a JSON object of images, annotations and categories; mend it")
    return found, content


def read_coco(annotations: Path, folder: Path, faults: list[str] | None = None) -> CocoFiles:
    """Reads and checks a split: every entry of the annotation file, and that every image is there.

    Args:
        annotations: the file.
        folder: of the images.
        faults: where the lines of broken entries go, which are then left out; None = the first one is raised.

    Raises:
        ValueError: what is wrong first, with the file and the entry's id; with `faults`, only what the file as a whole
            cannot be read for.
    """
    found, content = read_json(annotations)
    for key in ("images", "annotations", "categories"):
        if not isinstance(found.get(key), list) or not found[key]:
            refuse(annotations, key, "must be a list with at least one entry", "mend the file")
    category_ids = tuple(sorted(read_ids(annotations, found["categories"], "category")))
    label_of = {category: label for label, category in enumerate(category_ids, 1)}
    image_ids = read_ids(annotations, found["images"], "image")
    entries_of = dict(sorted(zip(image_ids, found["images"], strict=True)))
    files = _scan(folder)
    images = {
        image_id: image
        for image_id, image in entries_of.items()
        if _is_whole(faults, check_image, annotations, image_id, image, files, folder)
    }
    used: dict[int, list[Entry]] = defaultdict(list)
    for annotation_id, entry in zip(
        read_ids(annotations, found["annotations"], "annotation"), found["annotations"], strict=True
    ):
        what = f"annotation {annotation_id}"
        if not _is_whole(faults, _check_ids, annotations, what, entry, entries_of, label_of):
            continue
        image = images.get(entry["image_id"])
        if image is None or not _is_whole(faults, check_annotation, annotations, what, entry, image):
            continue
        if not entry.get("iscrowd") and min(entry["bbox"][2:]) >= 1 and _is_within(entry, image):
            used[image["id"]].append(entry)
    lists = [used.get(image_id, []) for image_id in images]
    entries = [entry for own in lists for entry in own]
    pieces = [json.dumps(entry["segmentation"], separators=(",", ":")).encode() for entry in entries]
    names = tuple(image["file_name"] for image in images.values())
    digest = hashlib.sha256(hashlib.sha256(content).digest())
    digest.update("".join(f"{name}\0{files[name]}\n" for name in names).encode())
    return CocoFiles(
        folder,
        annotations,
        names,
        np.array(list(images), dtype=np.int64),
        np.array([(image["height"], image["width"]) for image in images.values()], dtype=np.int64),
        np.concatenate([[0], np.cumsum([len(own) for own in lists])]).astype(np.int64),
        np.array([entry["id"] for entry in entries], dtype=np.int64),
        _corners(entries, images),
        np.array([label_of[entry["category_id"]] for entry in entries], dtype=np.int64),
        b"".join(pieces),
        _ends(pieces),
        category_ids,
        digest.hexdigest(),
    )


def _is_whole(faults: list[str] | None, check: Callable[..., None], *arguments: Any) -> bool:
    """Whether a check passes; what it raises goes into `faults` where there is such a list."""
    try:
        check(*arguments)
    except ValueError as error:
        if faults is None:
            raise
        faults.append(str(error))
        return False
    return True


def _check_ids(
    path: Path, what: str, entry: Entry, images: Mapping[int, Entry], categories: Mapping[int, int]
) -> None:
    image_id, category_id = entry.get("image_id"), entry.get("category_id")
    if type(image_id) is not int or image_id not in images:
        refuse(path, what, f"image_id is {image_id!r}, which no image has")
    if type(category_id) is not int or category_id not in categories:
        refuse(path, what, f"category_id is {category_id!r}, which no category has")


def _is_within(entry: Entry, image: Entry) -> bool:
    """Whether anything is left of a box once it is cut to its image, which rounding may put beyond the border."""
    x, y, width, height = entry["bbox"]
    return bool(x + width > 0 and y + height > 0 and x < image["width"] and y < image["height"])


def _corners(entries: list[Entry], images: dict[int, Entry]) -> npt.NDArray[np.float32]:
    """Boxes as corners, cut to their images."""
    boxes = np.array([entry["bbox"] for entry in entries], dtype=np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    sides = [(images[entry["image_id"]]["width"], images[entry["image_id"]]["height"]) for entry in entries]
    limits = np.array(sides, dtype=np.float64).reshape(-1, 2)
    return np.clip(boxes, 0, np.tile(limits, 2)).astype(np.float32)


def _ends(pieces: list[bytes]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])]).astype(np.int64)


def _scan(folder: Path) -> dict[str, int]:
    """Names of a folder's files and their sizes in bytes."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
    except OSError as error:
        raise ValueError(
            f"cannot list {folder}: {error.strerror}; data.root must hold train2017/, val2017/ and annotations/"
        ) from error
