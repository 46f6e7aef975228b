"""COCO 2017's zips: two of images, and one of annotations, of which training reads the instances."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Generator
from functools import partial
from pathlib import Path

from gnexp.data.prepare.members import list_zip, opened_zip
from gnexp.data.prepare.part import Archive, Entry, Part, Plan, Unit, find_archives
from gnexp.system.names import shown

_ANNOTATIONS = "annotations_trainval2017.zip"
MD5: dict[str, str | None] = {  # COCO names none: these are what other projects publish
    _ANNOTATIONS: "f4bbac642086de4f52a3fdda2de5fa2c",
    "val2017.zip": "442b8da7639aecaf257c1dceb8ba8c80",
    "train2017.zip": "cced6f7f71b7629ddf16f17bbcfab6b2",
}
_INSTANCES = tuple(f"annotations/instances_{split}2017.json" for split in ("train", "val"))
_IMAGE = re.compile(r"[\w-]+\.jpg", re.ASCII)
_AT_ONCE = 2000  # images of a unit
_BLOCK = 4096  # bytes, of a disk: a file may end in the midst of one


def plan_coco(folder: Path) -> Plan:
    """What of COCO 2017 lies in a folder.

    Raises:
        ValueError: no zip of images, or no annotations, or a zip that cannot be opened.
    """
    found = find_archives(folder, MD5)
    if _ANNOTATIONS not in found or len(found) < 2:
        raise ValueError(
            f"from= must be the folder with {_ANNOTATIONS} and train2017.zip, val2017.zip or both, got {folder}, which "
            f"has {', '.join(found) or 'none of them'}; docs/data.md says where they are had"
        )
    return Plan(
        tuple(
            _part(name.partition("_")[0].removesuffix(".zip"), found[name]) for name in MD5 if name in found
        )
    )


def _part(name: str, archive: Archive) -> Part:
    with opened_zip(archive.path) as file:
        room = sum(entry.member.size + _BLOCK for entry in _entries(name, file, archive))
    return Part(name, (archive,), room, partial(_units, name, archive))


def _units(name: str, archive: Archive) -> Generator[Unit]:
    with opened_zip(archive.path) as file:
        entries = _entries(name, file, archive)
        for start in range(0, len(entries), _AT_ONCE):
            some = entries[start : start + _AT_ONCE]
            size = sum(entry.member.size for entry in some)
            yield Unit(str(start), archive.path.name, size, partial(iter, some))


def _entries(name: str, file: zipfile.ZipFile, archive: Archive) -> list[Entry]:
    """Of a zip of images all; of that of annotations those that detection is trained on and scored by."""
    entries = []
    for member in list_zip(file, archive.path.name):
        is_image = _IMAGE.fullmatch(member.base) and member.name == f"{name}/{member.base}"
        if is_image or member.name in _INSTANCES:
            entries.append(Entry(member.base, member))
        elif archive.path.name != _ANNOTATIONS:
            raise ValueError(
                f"{shown(member.label)} is not what belongs there, an image named as {name}/000000000001.jpg; get the "
                "archive again"
            )
    if not entries:
        raise ValueError(f"{shown(str(archive.path))} has nothing that data=coco reads; get it again")
    return entries
