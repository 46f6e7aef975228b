"""What a check of a data set's files is made of: what a split holds, and what is found in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from torch.utils.data import Dataset as TorchDataset

from gnexp.data.chunks import CHUNK_SIZE, load_chunks
from gnexp.data.images.decode import UnreadableImageError, orientation, read_image
from gnexp.data.remarks import file_warnings, remarks_heard

SPLITS = ("train", "val")
_SECONDS = 600.0  # for CHUNK_SIZE files: a network's folder may be slow, no answer at all is an error


class Finding(NamedTuple):
    """One thing about one file or folder."""

    path: str
    reason: str
    is_bad: bool  # else training takes it, but not as it is stored


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A split before any of its files is decoded."""

    place: str  # what wrong counts are told of
    classes: tuple[int, str]  # how many, and what they are called: classes, categories
    files: tuple[int, str]  # that training would open: images
    findings: list[Finding]
    beside: tuple[str, ...] = ()  # what else there is, in words
    inspector: TorchDataset[list[Finding]]  # what is found in the files of some indices

    @property
    def summary(self) -> str:
        """What there is, in one line."""
        return ", ".join([f"{num} {what}" for num, what in (self.classes, self.files)] + [*self.beside])


class Survey(NamedTuple):
    """A data set before any of its files is decoded."""

    root: Path
    splits: dict[str, Listing]
    findings: list[Finding]  # of the splits beside each other


def inspect(listing: Listing, num_processes: int) -> Iterator[tuple[int, list[Finding]]]:
    """Decodes a split's files; yields how many more were done, and what was found in them, in their order.

    Raises:
        RuntimeError: a loader process died or hangs.
    """
    order = np.arange(listing.files[0])
    steps = [order[start : start + CHUNK_SIZE] for start in range(0, len(order), CHUNK_SIZE)]
    loaded = load_chunks(
        listing.inspector, steps, num_processes=num_processes, timeout=_SECONDS, is_pinned=False
    )
    with contextlib.closing(loaded):
        for step, (findings,) in zip(steps, loaded, strict=True):
            yield len(step), findings


def inspect_image(path: str) -> Finding | None:
    """What is to say about an image file, or None."""
    facts: list[str] = []
    try:
        with file_warnings(lambda warning: facts.append(warning.reason)):
            read_image(path)
    except UnreadableImageError as error:
        return Finding(path, error.reason, True)
    except OSError as error:
        return Finding(path, str(error.strerror), True)
    with remarks_heard(), Image.open(path) as image:  # which have been heard above
        if image.mode not in ("RGB", "L"):
            facts.append(f"{image.mode}, becomes RGB")
        if (num_frames := getattr(image, "n_frames", 1)) > 1:
            facts.append(f"the first of its {num_frames} pictures is taken")
        if (turn := orientation(image)) != 1:
            facts.append(f"orientation tag {turn}, ignored")
    return Finding(path, "; ".join(facts), False) if facts else None
