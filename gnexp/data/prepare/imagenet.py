"""ImageNet's archives (ILSVRC 2012): a tar of a tar for each class, a flat tar of val, and the devkit that sorts it."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from functools import partial
from io import BufferedReader
from pathlib import Path

from gnexp.data.prepare.devkit import read_val_classes
from gnexp.data.prepare.members import Section, opened_tar, read_tar
from gnexp.data.prepare.part import Archive, Entry, Part, Plan, Unit, find_archives
from gnexp.system.names import shown

TRAIN, VAL, DEVKIT = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"
MD5: dict[str, str | None] = {  # torchvision's (datasets/imagenet.py), which a test compares
    TRAIN: "1d675b47d978889d74fa0da5fadfb00e",
    VAL: "29b22e2961454d5413ddabcf34fc5622",
    DEVKIT: "fa75699e90414af021442c21a62c3abf",
}
_CLASS = re.compile(r"(n\d{8})\.tar")
_IMAGE = re.compile(r"n\d{8}_\d+\.JPEG")
_OF_VAL = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")


def plan_imagenet(folder: Path) -> Plan:
    """What of ImageNet lies in a folder.

    Raises:
        ValueError: neither of the tars, or val's without the devkit.
    """
    found = find_archives(folder, MD5)
    if TRAIN not in found and VAL not in found:
        raise ValueError(
            f"from= must be the folder with {TRAIN} or {VAL}, got {folder}, which has neither; docs/data.md says where "
            "they are had"
        )
    if VAL in found and DEVKIT not in found:
        raise ValueError(
            f"{VAL} is sorted by the ground truth in {DEVKIT}, which is not in {folder}; put it there, or move "
            f"{VAL} away to unpack train alone"
        )
    parts = []
    if VAL in found:
        tar, devkit = found[VAL], found[DEVKIT]
        parts.append(Part("val", (tar, devkit), tar.room, partial(_val_units, tar, devkit)))
    if TRAIN in found:
        tar_of_tars = found[TRAIN]
        parts.append(Part("train", (tar_of_tars,), tar_of_tars.room, partial(_train_units, tar_of_tars)))
    return Plan(tuple(parts))


def _train_units(archive: Archive) -> Generator[Unit]:
    """A unit a class; the outer tar's headers alone are read here."""
    path = archive.path
    with opened_tar(path) as file:
        for member in read_tar(file, path.name):
            named = _CLASS.fullmatch(member.name)
            if named is None:
                raise _unexpected(member.label, "a tar named as its class, n01440764.tar")
            yield Unit(
                member.name,
                path.name,
                member.size,
                partial(_class_entries, path, named[1], member.start, member.size),
            )


def _class_entries(path: Path, name: str, start: int, size: int) -> Iterator[Entry]:
    with BufferedReader(Section(path, start, size)) as file:
        for member in read_tar(file, f"{path.name}: {name}.tar"):
            if not _IMAGE.fullmatch(member.name):
                raise _unexpected(member.label, f"an image named as {name}_1.JPEG")
            yield Entry(f"{name}/{member.name}", member)


def _val_units(archive: Archive, devkit: Archive) -> Generator[Unit]:
    yield Unit("all", archive.path.name, archive.size, partial(_val_entries, archive.path, devkit.path))


def _val_entries(path: Path, devkit: Path) -> Iterator[Entry]:
    classes = read_val_classes(devkit)
    waiting = set(range(1, len(classes) + 1))
    with opened_tar(path) as file:
        for member in read_tar(file, path.name):
            named = _OF_VAL.fullmatch(member.name)
            if named is None or not 1 <= int(named[1]) <= len(classes):
                raise _unexpected(
                    member.label,
                    f"an image named as ILSVRC2012_val_00000001.JPEG, at most {len(classes):08d}",
                )
            waiting.discard(int(named[1]))
            yield Entry(f"{classes[int(named[1]) - 1]}/{member.name}", member)
    if waiting:
        raise ValueError(
            f"{path.name} lacks {len(waiting)} of the {len(classes)} images of the ground truth, the first "
            f"ILSVRC2012_val_{min(waiting):08d}.JPEG; get it and {DEVKIT} again"
        )


def _unexpected(label: str, wanted: str) -> ValueError:
    return ValueError(f"{shown(label)} is not what belongs there, {wanted}; get the archive again")
