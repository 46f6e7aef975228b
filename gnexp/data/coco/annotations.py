"""A COCO annotation file, read and checked entry by entry; nothing in it is trusted.

An entry that training or evaluation could trip over is told when the data set is opened, or mended or left out.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gnexp.data.coco.check import BOXES_ALONE, check_annotation, check_ids, check_image, is_below
from gnexp.data.coco.mend import mend_annotation, mend_image
from gnexp.data.coco.reading import Entry, EntryError, Faults, is_number, read_entries, read_json, refuse


class NoMasksError(EntryError):
    """A whole file without masks: what can be trained are boxes alone."""


class Reading(NamedTuple):
    """How annotations are taken."""

    has_masks: bool = True  # whether segmentations are looked at
    is_mending: bool = False  # whether odd entries are mended or, where they cannot be, left out


STRICT = Reading()


@dataclass(frozen=True)
class Annotations:
    """What an annotation file says, as far as it can be used."""

    found: Entry  # the file as it is
    images: dict[int, Entry]  # by id, in the file's order
    entries: dict[int, Entry]  # the annotations by id, crowds too, in the file's order
    categories: dict[int, str | None]  # names by id, in the order of the ids; None where there is none
    files: dict[str, int]  # what the image folder holds, sizes in bytes by name
    sha256: str  # of the file
    odd: dict[str, str]  # what was mended or left out: file and entry -> why

    def content(self) -> Entry:
        """The file's content with these images and annotations alone, as COCO's evaluation takes it."""
        annotations = [{"iscrowd": 0} | entry for entry in self.entries.values()]
        return self.found | {"images": list(self.images.values()), "annotations": annotations}


def read_annotations(
    path: Path, folder: Path, reading: Reading = STRICT, faults: Faults | None = None
) -> Annotations:
    """Reads a file and checks every entry of it, and that every image is there.

    Args:
        path: the file.
        folder: of the images.
        reading: how its entries are taken.
        faults: where broken entries go, which are then left out; None = the first is raised, unless they are mended.

    Raises:
        ValueError: what is wrong first, with the file and the entry's id; where broken entries are left out, only what
            the file as a whole cannot be read for.
    """
    has_masks, is_mending = reading
    found, content = read_json(path)
    for key in ("images", "annotations", "categories"):
        if not isinstance(found.get(key), list) or not found[key]:
            refuse(path, key, "must be a list with at least one entry", "mend the file")
    if has_masks and not any(_has_mask(entry) for entry in found["annotations"]):
        raise NoMasksError(path, "annotations", "none has a mask", f"give {BOXES_ALONE}, or mend the file")
    categories = read_entries(path, found["categories"], "category", faults, "mend the file")
    left_out: Faults | None = [] if is_mending else faults
    odd: dict[str, str] = {}
    files = list_files(
        folder, (image.get("file_name") for image in found["images"] if isinstance(image, dict))
    )
    listed = read_entries(path, found["images"], "image", left_out)
    images: dict[int, Entry] = {}
    for number, image in listed.items():
        kept, changes = mend_image(image) if is_mending else (image, [])
        if _passes(left_out, check_image, path, number, kept, files, folder):
            images[number] = kept
            _note(odd, path, f"image {number}", changes)
    label_of = {category: label for label, category in enumerate(sorted(categories), 1)}
    entries: dict[int, Entry] = {}
    for number, entry in read_entries(path, found["annotations"], "annotation", left_out).items():
        what = f"annotation {number}"
        if not _passes(left_out, check_ids, path, what, entry, listed, label_of):
            continue
        own = images.get(entry["image_id"])
        if own is None:  # it goes with its image, which has been told
            continue
        changes = []
        if is_mending:
            entry, changes = mend_annotation(path, what, entry, own, has_masks=has_masks)
        if _passes(left_out, check_annotation, path, what, entry, own, has_masks=has_masks):
            entries[number] = entry
            _note(odd, path, what, changes)
    if is_mending:
        odd |= {f"{path}: {error.what}": f"left out: {error.reason}" for error in left_out or ()}
    names = {number: _name(categories[number].get("name")) for number in sorted(categories)}
    return Annotations(
        found, images, entries, names, files, hashlib.sha256(content).hexdigest(), dict(sorted(odd.items()))
    )


def list_files(folder: Path, names: Iterable[Any]) -> dict[str, int]:
    """The files of a folder, and of those folders in it that file_names name: sizes in bytes by name.

    Raises:
        ValueError: the folder itself cannot be listed.
    """
    parents = {name.rpartition("/")[0] for name in names if is_below(name)} - {""}
    try:
        found = _scan(folder, "")
    except OSError as error:
        raise ValueError(
            f"cannot list {folder}: {error.strerror}; data.root must hold train2017/, val2017/ and annotations/"
        ) from error
    for parent in sorted(parents):
        try:
            found |= _scan(folder / parent, f"{parent}/")
        except OSError:
            continue  # its images are then told as missing
    return found


def _scan(folder: Path, prefix: str) -> dict[str, int]:
    with os.scandir(folder) as entries:
        return {prefix + entry.name: entry.stat().st_size for entry in entries if entry.is_file()}


def _passes(left_out: Faults | None, check: Any, *arguments: Any, **options: Any) -> bool:
    """Whether a check passes; what it raises goes into `left_out` where there is such a list."""
    try:
        check(*arguments, **options)
    except EntryError as error:
        if left_out is None:
            raise
        left_out.append(error)
        return False
    return True


def _note(odd: dict[str, str], path: Path, what: str, changes: list[str]) -> None:
    if changes:
        odd[f"{path}: {what}"] = f"mended: {'; '.join(changes)}"


def _name(name: Any) -> str | None:
    """A category's name; of digits it may be written as a number."""
    return str(name) if (isinstance(name, str) and name) or is_number(name) else None


def _has_mask(entry: Any) -> bool:
    return isinstance(entry, dict) and bool(entry.get("segmentation"))
