"""A split of a data set in COCO's layout: what its annotation file says of its images, kept compact."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from faster_coco_eval.core import mask as mask_api

from gnexp.data.coco.annotations import STRICT, Reading, read_annotations
from gnexp.data.coco.check import to_rle
from gnexp.data.coco.reading import Entry, Faults, first_line, refuse
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
    has_masks: bool  # whether segmentations were read
    segmentations: bytes  # all of them, one after the other
    ends: npt.NDArray[np.int64]  # (M + 1,): segmentation j is the bytes ends[j] to ends[j + 1]
    category_ids: tuple[int, ...]  # the file's id of label 1, 2, ...
    category_names: tuple[str | None, ...]  # of label 1, 2, ...; None where the file has none
    digest: str  # sha256 of the annotation file, and of the images' names and sizes in bytes
    unused: str  # in words, of the file's other annotations: how many are crowds and how many too small
    num_masks: int  # of the file's usable annotations that have one
    odd: Mapping[str, str]  # what was mended or left out: file and entry -> why

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
        chunks = [self.segmentations[self.ends[j] : self.ends[j + 1]] for j in annotations]
        return dataclasses.replace(
            self,
            names=tuple(self.names[i] for i in kept),
            image_ids=self.image_ids[kept],
            sizes=self.sizes[kept],
            starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            annotation_ids=self.annotation_ids[annotations],
            boxes=self.boxes[annotations],
            labels=self.labels[annotations],
            segmentations=b"".join(chunks),
            ends=_ends(chunks),
        )


def read_coco(
    annotations: Path, folder: Path, reading: Reading = STRICT, faults: Faults | None = None
) -> CocoFiles:
    """A split, from its annotation file and the folder of its images; arguments and errors are read_annotations'."""
    read, has_masks = read_annotations(annotations, folder, reading, faults), reading.has_masks
    images = dict(sorted(read.images.items()))
    label_of = {category: label for label, category in enumerate(read.categories, 1)}
    used: dict[int, list[Entry]] = defaultdict(list)
    unused = {"crowd": 0, "smaller than a pixel": 0}
    for entry in read.entries.values():
        if entry.get("iscrowd"):
            unused["crowd"] += 1
        elif min(entry["bbox"][2:]) < 1 or not _is_within(entry, images[entry["image_id"]]):
            unused["smaller than a pixel"] += 1
        else:
            used[entry["image_id"]].append(entry)
    lists = [used.get(image_id, []) for image_id in images]
    entries = [entry for own in lists for entry in own]
    chunks = [
        json.dumps(entry["segmentation"], separators=(",", ":")).encode() for entry in entries if has_masks
    ]
    names = tuple(image["file_name"] for image in images.values())
    digest = hashlib.sha256(bytes.fromhex(read.sha256))
    listed = "".join(f"{name}\0{read.files[name]}\n" for name in names)
    digest.update(
        listed.encode(errors="surrogateescape")
    )  # a name of any bytes, as JSON has it from os.listdir
    return CocoFiles(
        folder,
        annotations,
        names,
        np.array(list(images), dtype=np.int64),
        np.array([(image["height"], image["width"]) for image in images.values()], dtype=np.int64).reshape(
            -1, 2
        ),
        np.concatenate([[0], np.cumsum([len(own) for own in lists])]).astype(np.int64),
        np.array([entry["id"] for entry in entries], dtype=np.int64),
        _corners(entries, images),
        np.array([label_of[entry["category_id"]] for entry in entries], dtype=np.int64),
        has_masks,
        b"".join(chunks),
        _ends(chunks if has_masks else [b""] * len(entries)),
        tuple(read.categories),
        tuple(read.categories.values()),
        digest.hexdigest(),
        ", ".join(f"{num} {what}" for what, num in unused.items() if num),
        sum(bool(entry.get("segmentation")) for entry in entries),
        read.odd,
    )


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


def _ends(chunks: list[bytes]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum([len(chunk) for chunk in chunks])]).astype(np.int64)
