"""Every image of a folder decoded once: what training cannot use, and what it uses otherwise than it is stored."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from torch.utils.data import Dataset as TorchDataset

from gnexp.data.dataset import Indices
from gnexp.data.decode import UnreadableImageError, read_image
from gnexp.data.image_files import SUFFIXES, list_folder
from gnexp.data.pieces import PIECE_SIZE, load_pieces

_ORIENTATION = 0x0112  # EXIF's tag; 1 = as stored
_SECONDS = 600.0  # for PIECE_SIZE images: a network's folder may be slow, no answer at all is an error


class Finding(NamedTuple):
    """One thing about one file or folder."""

    path: str
    reason: str
    is_bad: bool  # else training takes it, but not as it is stored


@dataclass(frozen=True)
class Listing:
    """What a split's folder holds."""

    classes: list[str]
    paths: list[str]  # of images, by class and name
    num_others: int  # files that are no images by their suffix, and are passed over
    findings: list[Finding]  # empty classes


def list_split(folder: Path) -> Listing:
    """Lists a split's class folders, as scan_images does, but goes on past what it would refuse.

    Raises:
        ValueError: a folder that cannot be listed.
    """
    listing = Listing(_names(folder, is_dir=True), [], 0, [])
    num_others = len(_names(folder, is_dir=False))
    for name in listing.classes:
        files = _names(folder / name, is_dir=False)
        images = [file for file in files if file.lower().endswith(tuple(map(os.fsdecode, SUFFIXES)))]
        num_others += len(files) - len(images)
        listing.paths.extend(str(folder / name / file) for file in images)
        if not images:
            listing.findings.append(Finding(str(folder / name), "a class without an image", True))
    return Listing(listing.classes, listing.paths, num_others, listing.findings)


def inspect_images(paths: list[str], num_processes: int) -> Iterator[tuple[int, list[Finding]]]:
    """Decodes images; yields how many more were done, and what was found in them, in the paths' order.

    Raises:
        RuntimeError: a loader process died or hangs.
    """
    order = np.arange(len(paths))
    steps = [order[start : start + PIECE_SIZE] for start in range(0, len(paths), PIECE_SIZE)]
    loaded = load_pieces(
        _Inspector(paths), steps, num_processes=num_processes, timeout=_SECONDS, is_pinned=False
    )
    with contextlib.closing(loaded):
        for step, (findings,) in zip(steps, loaded, strict=True):
            yield len(step), findings


def inspect_image(path: str) -> Finding | None:
    """What is to say about an image file, or None."""
    try:
        read_image(path)
    except UnreadableImageError as error:
        return Finding(path, error.reason, True)
    except OSError as error:
        return Finding(path, str(error.strerror), True)
    facts = []
    with Image.open(path) as image:
        if image.mode not in ("RGB", "L"):
            facts.append(f"{image.mode}, becomes RGB")
        turn = 1
        with contextlib.suppress(Exception):  # damaged tags harm nobody who ignores them
            turn = image.getexif().get(_ORIENTATION, 1)
        if turn != 1:
            facts.append(f"orientation tag {turn}, ignored")
    return Finding(path, "; ".join(facts), False) if facts else None


class _Inspector(TorchDataset[list[Finding]]):
    def __init__(self, paths: list[str]) -> None:
        self._paths = paths

    def __getitem__(self, indices: Indices) -> list[Finding]:
        found = (inspect_image(self._paths[index]) for index in indices)
        return [finding for finding in found if finding is not None]


def _names(folder: Path, *, is_dir: bool) -> list[str]:
    entries = list_folder(os.fsencode(folder))
    return sorted(os.fsdecode(entry.name) for entry in entries if entry.is_dir() == is_dir)
