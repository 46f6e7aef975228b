"""Kinetics-400 as the mirror of CVDF has it: compressed tars of videos, the lists, and better copies of damaged videos.

Its scripts download into k400_targz/{train,val,replacement}/ and k400/annotations/.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path

from gnexp.data.prepare.members import file_member, opened_tar, read_tar
from gnexp.data.prepare.part import Archive, Entry, Part, Plan, Unit
from gnexp.data.video.kinetics_rows import read_labels

_SPLITS = ("val", "train")
_TAR = (".tar.gz", ".tgz", ".tar")
_REPLACEMENT = "replacement_for_corrupted_k400.tgz"
_NUMBERED = re.compile(r"part_(\d+)\.tar(\.gz)?")
_VIDEO = ".mp4"


def plan_kinetics(folder: Path) -> Plan:
    """What of Kinetics lies in a folder.

    Raises:
        ValueError: no tars, one of them missing, or no list of their videos.
    """
    places = (folder, folder / "k400_targz")
    tars = {split: _tars(places, split) for split in _SPLITS}
    if not any(tars.values()):
        raise ValueError(
            f"from= must be the folder with train/part_0.tar.gz ..., val/part_0.tar.gz ... and annotations/, got "
            f"{folder}, which has no tar in train/ or val/; docs/data.md says where they are had"
        )
    lists = {split: _list_of(folder, split) for split in reversed(_SPLITS)}
    replacement = [
        Archive(path)
        for place in places
        for path in (place / _REPLACEMENT, place / "replacement" / _REPLACEMENT)
        if path.is_file()
    ][:1]
    parts = [_list_part(path) for path in lists.values()]
    parts += [_split_part(split, tars[split], replacement, lists[split]) for split in _SPLITS if tars[split]]
    notes = ["no MD5 of Kinetics' archives is public: damage shows where they are unpacked"]
    if not replacement:
        notes.append(f"{_REPLACEMENT} is not there: training passes over the videos that it replaces")
    return Plan(tuple(parts), tuple(notes))


def _tars(places: tuple[Path, ...], split: str) -> list[Archive]:
    """The tars of a split, by number.

    Raises:
        ValueError: a number that is missing.
    """
    found = [
        path
        for place in places
        if (place / split).is_dir()
        for path in (place / split).iterdir()
        if path.name.endswith(_TAR) and not path.name.startswith(".")
    ]
    numbers = {int(named[1]): path for path in found if (named := _NUMBERED.fullmatch(path.name))}
    missing = [i for i in range(max(numbers, default=-1) + 1) if i not in numbers]
    if missing:
        raise ValueError(
            f"{len(missing)} of the tars of {split} are missing, the first part_{missing[0]}.tar.gz, of those up to "
            f"{max(numbers)}; get them too"
        )
    order = {path: number for number, path in numbers.items()}
    return [Archive(path) for path in sorted(found, key=lambda path: (order.get(path, -1), path.name))]


def _list_of(folder: Path, split: str) -> Path:
    for place in ("k400/annotations", "annotations", "."):
        if (path := folder / place / f"{split}.csv").is_file():
            return path
    raise ValueError(
        f"{split}.csv, the list with the classes of the videos, must be in {folder}, its annotations/ or its "
        "k400/annotations/, and is not; get both lists (docs/data.md)"
    )


def _list_part(path: Path) -> Part:
    member = file_member(path)

    def units() -> Generator[Unit]:
        read_labels(path)  # which raises where it is broken
        yield Unit("all", path.name, member.size, lambda: iter([Entry("", member)]))

    return Part(path.name, (Archive(path),), member.size, units)


def _split_part(split: str, tars: list[Archive], replacement: list[Archive], listed: Path) -> Part:
    def units() -> Generator[Unit]:
        labels = read_labels(listed)
        for tar in [*tars, *replacement]:  # the better copies last, in the place of the others
            yield Unit(
                tar.path.name,
                f"{split}/{tar.path.name}",
                tar.size,
                partial(_entries, tar.path, labels),
            )

    return Part(split, (*tars, *replacement), sum(tar.room for tar in tars), units)


def _entries(path: Path, labels: dict[str, str]) -> Iterator[Entry]:
    """The videos of a tar that a split's list names, each in the folder of its class."""
    with opened_tar(path) as file:
        for member in read_tar(file, f"{path.parent.name}/{path.name}"):
            label = labels.get(member.base.removesuffix(_VIDEO))
            if label is not None and member.base.endswith(_VIDEO):
                folder = os.fsdecode(
                    label.encode()
                )  # in UTF-8, as the reader looks for it, whatever the locale
                yield Entry(f"{folder}/{member.base}", member)
