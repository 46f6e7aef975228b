"""Photographs with boxes and masks in COCO's layout, as a Dataset.

data.root holds train2017/, val2017/ and annotations/instances_{train,val}2017.json. Loader processes decode images
and masks; resizing and normalization are the model's.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gnexp.data.chunks import load_chunks
from gnexp.data.class_files import find_root
from gnexp.data.coco.annotations import Reading, read_annotations
from gnexp.data.coco.categories import class_names, differing_categories
from gnexp.data.coco.chunks import CocoDecoder, Pixels
from gnexp.data.coco.files import CocoFiles, read_coco
from gnexp.data.dataset import Batch, Batches, Indices, check_num
from gnexp.data.kinds.coco import BoxesConfig, CocoConfig

SPLITS = {"train": "train2017", "val": "val2017"}  # their folders
LAYOUT = (*SPLITS.values(), "annotations")  # what data.root holds


def open_coco(config: CocoConfig, device: torch.device) -> Coco:
    """Reads both annotation files and looks for every image; decodes none.

    Raises:
        ValueError: a setting that this kind does not have, or a folder that is missing or not what config says.
    """
    root = find_root(config.root, config.name, LAYOUT)
    train, val = (read_split(root, split, config) for split in SPLITS)
    _check_odd(config, {**train.odd, **val.odd})
    dataset = Coco(config, device, train, val)
    dataset.notes += [
        f"{config.name} has {config.expected[split]} {split} images, {files.annotations} names {len(files.names)}"
        for split, files in (("train", train), ("val", val))
        if config.expected[split] not in (None, len(files.names))
    ]
    if config.sha256 not in (None, dataset.fingerprint):
        raise ValueError(
            f"data.sha256 must be the fingerprint of the files in {config.folder}, got {config.sha256}, they have "
            f"{dataset.fingerprint}; mend the folder, or give data.sha256=null or the new value"
        )
    return dataset


def read_split(root: Path, split: str, config: BoxesConfig) -> CocoFiles:
    """A split of a folder in COCO's layout; raises ValueError as read_coco does."""
    return read_coco(*split_paths(root, split), _reading(config))


def _reading(config: BoxesConfig) -> Reading:
    return Reading(has_masks=not config.is_without_masks, is_mending=config.skips_errors)


def _check_odd(config: BoxesConfig, odd: Mapping[str, str]) -> None:
    most = config.most_skipped
    if len(odd) > most:
        what, reason = next(iter(odd.items()))
        raise ValueError(
            f"more than data.max_skipped={most} entries are odd, {len(odd)} in all, the first {what}: {reason}; mend "
            f"the files (gnexp data check {config.folder} data=coco names all), or raise data.max_skipped"
        )


def split_paths(root: Path, split: str) -> tuple[Path, Path]:
    """A split's annotation file and the folder of its images."""
    folder = SPLITS[split]
    return root / "annotations" / f"instances_{folder}.json", root / folder


def group_by_aspect(order: Indices, is_wide: npt.NDArray[np.bool_], total_batch: int) -> Indices:
    """An order whose total batches are all wide or all tall, so that little of a padded batch is padding.

    A function of the order alone: a batch stands where its last image stood. Images that fill no total batch of their
    kind are left out, fewer than total_batch of each.

    Args:
        order: image indices, each at most once.
        is_wide: of every image of the data set.
        total_batch: images a step.

    Returns:
        Whole total batches, one after the other.
    """
    batches = []  # of places in the order
    for wanted in (True, False):
        places = np.flatnonzero(is_wide[order] == wanted)
        batches.append(places[: len(places) // total_batch * total_batch].reshape(-1, total_batch))
    whole = np.concatenate(batches)
    return order[whole[np.argsort(whole[:, -1])].reshape(-1)]


class Coco:
    """A train and a val split of images with boxes and masks.

    A batch's images are a list of (C, H, W) float32 in [0, 1], its labels a list of dictionaries: boxes (n, 4) float32,
    x1, y1, x2, y2 in pixels; labels (n,) int64, 1 to num_classes; image_id; in training masks, uint8, (n, h, w) of the
    size that the model resizes the image to: of a large image's many instances full-size masks would take gigabytes.

    Args:
        config: its flip, channels, num_train and num_val are followed.
        device: where batches go.
        train: images without a usable annotation are left out.
        val: taken whole.
        images: of each split, where they are in memory; None = loader processes decode the files.

    Raises:
        ValueError: fewer images than wanted, or other categories.
    """

    def __init__(
        self,
        config: BoxesConfig,
        device: torch.device,
        train: CocoFiles,
        val: CocoFiles,
        images: Mapping[str, Sequence[Pixels]] | None = None,
    ) -> None:
        _check_categories(config, train, val)
        usable = np.flatnonzero(np.diff(train.starts) > 0)
        self.fingerprint = hashlib.sha256(f"train {train.digest}\nval {val.digest}\n".encode()).hexdigest()
        self._files = {
            "train": _first(train, usable, config.num_train, "data.num_train"),
            "val": _first(val, np.arange(len(val.names)), config.num_val, "data.num_val"),
        }
        _check_usable(self._files["train"], train, "train", "")
        _check_usable(
            self._files["val"], val, "score", f"among its first {len(self._files['val'].names)} images"
        )
        self.num_train, self.num_val = (len(files.names) for files in self._files.values())
        num_empty = len(train.names) - len(usable)
        self.notes = [f"{num_empty} training images have no usable annotation and are left out"] * bool(
            num_empty
        )
        self.class_names = class_names(train, val)  # of label 1, 2, ...
        self.category_ids = train.category_ids  # the files' id of label 1, 2, ...
        self.has_masks = not config.is_without_masks
        self.notes += _notes(self, train, val)
        self.skipped: dict[str, str] = {**train.odd, **val.odd}
        self._config, self._device, self._images = config, device, images
        sizes = self._files["train"].sizes
        self._is_wide = sizes[:, 1] >= sizes[:, 0]
        num_wide = int(self._is_wide.sum())
        self.kinds = {"wide": num_wide, "tall": len(self._is_wide) - num_wide}

    def arrange(self, order: Indices, total_batch: int) -> Indices:
        """Training's order with wide and tall images in total batches of their own: group_by_aspect."""
        return group_by_aspect(order, self._is_wide, total_batch)

    def train_batches(self, seed: int, epoch: int, steps: Sequence[Indices]) -> Batches:
        """One batch per entry of `steps`, flipped by (seed, epoch, sample index).

        Raises:
            ValueError: an image or a mask that cannot be read.
            RuntimeError: a loader process died or hangs.
        """
        return self._load("train", (seed, epoch), steps)

    def val_batches(self, steps: Sequence[Indices]) -> Batches:
        """One batch per entry of `steps`, as they are; without crowd, which ground_truth has, and without masks.

        Raises:
            ValueError: an image or a mask that cannot be read.
            RuntimeError: a loader process died or hangs.
        """
        return self._load("val", None, steps)

    def val_masks(self, index: int) -> Sequence[npt.NDArray[np.uint8]]:
        """The masks of an image of val, (H, W) each, of which one is decoded when it is asked for."""
        return _Masks(self._files["val"], index)

    def ground_truth(self) -> dict[str, Any]:
        """The annotation file of val, with the images that val_batches gives and all that is used of what it says.

        Raises:
            ValueError: the file is gone, or no longer what it was when the set was opened.
        """
        files = self._files["val"]
        found = read_annotations(files.annotations, files.folder, _reading(self._config)).content()
        kept = set(files.image_ids.tolist())
        return found | {
            "images": [image for image in found["images"] if image["id"] in kept],
            "annotations": [entry for entry in found["annotations"] if entry["image_id"] in kept],
        }

    def _load(self, split: str, key: tuple[int, int] | None, steps: Sequence[Indices]) -> Batches:
        images = None if self._images is None else self._images[split]
        loaded = load_chunks(
            CocoDecoder(self._files[split], key, self._config, images),
            steps,
            num_processes=self._config.loader_workers if images is None else 0,
            timeout=self._config.loader_timeout,
            is_pinned=False,
        )
        # Ends the loader processes now, also where an error's traceback keeps us.
        with contextlib.closing(loaded):
            for indices, chunks in zip(steps, loaded, strict=True):
                samples = [sample for chunk in chunks for sample in chunk]
                for sample in samples:
                    if sample.error is not None:
                        raise ValueError(sample.error)
                yield Batch(
                    [self._put(sample.pixels).float().div_(255) for sample in samples],
                    [
                        {
                            "boxes": self._put(sample.boxes),
                            "labels": self._put(sample.labels),
                            "image_id": sample.image_id,
                        }
                        | ({} if sample.masks is None else {"masks": self._put(sample.masks)})
                        for sample in samples
                    ],
                    indices,
                )

    def _put(self, array: npt.NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)


class _Masks(Sequence[npt.NDArray[np.uint8]]):
    def __init__(self, files: CocoFiles, image: int) -> None:
        self._files, self._image = files, image

    def __len__(self) -> int:
        return int(self._files.starts[self._image + 1] - self._files.starts[self._image])

    def __getitem__(self, row: Any) -> Any:
        return self._files.mask(self._image, range(len(self))[row])


def _first(files: CocoFiles, usable: Indices, num: int | None, key: str) -> CocoFiles:
    check_num(num, len(usable), key, f"the images of {files.annotations} that can be used")
    kept = usable if num is None else usable[:num]
    return files if len(kept) == len(files.names) else files.choose(kept)


def _check_usable(files: CocoFiles, whole: CocoFiles, purpose: str, where: str) -> None:
    if len(files.labels):
        return
    if len(whole.labels):
        raise ValueError(
            f"{whole.annotations} must have an annotation to {purpose} on {where}, got none; raise data.num_val"
        )
    raise ValueError(
        f"{whole.annotations} must have an annotation to {purpose} on, got {whole.unused or 'none'}; mend it"
    )


def _notes(dataset: Coco, train: CocoFiles, val: CocoFiles) -> list[str]:
    notes = []
    nameless = sum(None in names for names in zip(train.category_names, val.category_names, strict=True))
    if nameless:
        notes.append(f"{nameless} categories lack a name in train or val; without one in both it is class ID")
    for files in (train, val) if not dataset.has_masks else ():
        if files.num_masks:
            notes.append(
                f"{files.num_masks} of {len(files.labels)} annotations in {files.annotations.name} have masks, which "
                "data.masks=false leaves out"
            )
    return notes


def _check_categories(config: BoxesConfig, train: CocoFiles, val: CocoFiles) -> None:
    if difference := differing_categories(train, val):
        raise ValueError(
            f"{train.annotations} and {val.annotations} must have the same categories, got others: {difference}; "
            "mend one of them"
        )
    if len(train.category_ids) != config.num_classes:
        raise ValueError(
            f"data.num_classes must be the number of categories in {train.annotations}, got {config.num_classes} and "
            f"{len(train.category_ids)}; give data.num_classes={len(train.category_ids)}, or mend the file"
        )
