"""What the engine asks of a data set: batches of given samples, augmented by key."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Images and their labels, on the device: a tensor of each or a list of N (see data/coco.py and data/clips.py)."""

    # (N, C, H, W) float32, normalized; detection: (C, H, W) float32 in [0, 1] each; clips: (N, C, T, H, W), in the test
    # (views, C, T, H, W) each
    images: Any
    labels: Any  # (N,) int64; detection: boxes, labels, image_id and, in training, masks of each
    indices: Indices  # (N,) of the samples in their split

    def take(self, positions: Indices) -> Batch:
        """The images at some positions of the batch."""
        images, labels = (
            values[torch.from_numpy(positions)]
            if isinstance(values, torch.Tensor)
            else [values[position] for position in positions]
            for values in (self.images, self.labels)
        )
        return Batch(images, labels, self.indices[positions])


# A generator and not any iterator: its close() ends the loader processes of an epoch that is left early.
Batches = Generator[Batch, None, None]


class Dataset(Protocol):
    """A train and a val split. Order, drop-last and evaluation sizes are the loader's business.

    One whose images do not all go together may also have `arrange(order, total_batch)`, which the loader then asks
    for the order's whole total batches, and `kinds`, the number of images of each kind that goes together. One
    whose classes have names may have `class_names`, in the labels' order, and `category_ids`, the ids that its files
    give them.
    """

    num_train: int
    num_val: int
    fingerprint: str  # sha256 of what was read or generated
    notes: list[str]  # what a person should know before training, one line each
    skipped: dict[str, str]  # files that could not be used so far: path -> reason

    def train_batches(self, seed: int, epoch: int, steps: Sequence[Indices]) -> Batches:
        """One batch per entry of `steps`, augmented by (seed, epoch, sample index)."""
        ...

    def val_batches(self, steps: Sequence[Indices]) -> Batches:
        """One batch per entry of `steps`, not augmented."""
        ...


def check_num(num: int | None, most: int, key: str, what: str) -> None:
    """Refuses a number of images to take that is not there; None = all.

    Args:
        num: that the config's `key` says.
        most: that there are.
        key: data.num_train or data.num_val.
        what: there are, with where.

    Raises:
        ValueError: below 1, or above most.
    """
    if num is not None and not 1 <= num <= most:
        raise ValueError(
            f"{key} must be between 1 and {most}, {what}, got {num}; give {key}=null for all of them, or fewer "
            "(scale=smoke sets it, and so do some data sets)"
        )
