"""Kinetics' own lists of videos, whose rows say label, id, start and end; what they name is looked for, not trusted."""

from __future__ import annotations

import os
from pathlib import Path

from gnexp.data.class_files import ClassFiles, pack_files
from gnexp.data.images.folders import list_files, list_folder
from gnexp.data.video.kinetics_rows import read_rows
from gnexp.system.names import shown

_NAMES = {"train": ("train.csv",), "val": ("val.csv", "validate.csv")}  # of the lists


def find_lists(root: Path) -> dict[str, Path] | None:
    """The list of each split; None where there is none.

    Raises:
        ValueError: only one of the splits has a list.
    """
    found = {
        split: next((root / name for name in names if (root / name).exists()), None)
        for split, names in _NAMES.items()
    }
    lists = {split: path for split, path in found.items() if path is not None}
    if len(lists) == 1:
        (split,) = found.keys() - lists.keys()
        raise ValueError(
            f"{root} must have a list for each split or none, got only {next(iter(lists.values())).name}; add "
            f"{' or '.join(_NAMES[split])}, or move it away"
        )
    return lists or None


def scan_listed(path: Path, folder: Path, suffixes: tuple[bytes, ...]) -> tuple[ClassFiles, list[str]]:
    """The videos of a list that are there, in folders of their labels or all in one, and the names of the others.

    Args:
        path: of the list.
        folder: of the split.
        suffixes: of the files, in lower case.

    Raises:
        ValueError: a list that cannot be read, a row that is broken or leaves the folder, or a label without a video.
    """
    wanted: dict[bytes, set[bytes]] = {}
    for row in read_rows(path):
        label, name = (word.encode() for word in row)  # in UTF-8, as files have them, whatever the locale
        wanted.setdefault(label, set()).add(name)
    root = os.fsencode(folder)
    is_flat = not any(entry.name in wanted and entry.is_dir() for entry in list_folder(root))
    shared = _by_stem(root, suffixes) if is_flat else {}
    files, missing = [], []
    classes = sorted(wanted)
    for label in classes:
        place = os.path.join(root, label)
        there = shared if is_flat else _by_stem(place, suffixes) if os.path.isdir(place) else {}
        own = sorted(wanted[label])
        files.append(sorted(there[stem] for stem in own if stem in there))
        missing += [shown(os.path.join(label, stem)) for stem in own if stem not in there]
        if not files[-1]:
            raise ValueError(
                f"every label of {path} needs at least one video, got none of {shown(label)} in {folder}; add "
                "one, or take the label out of the lists"
            )
    if not files:
        raise ValueError(f"{path} must name a video, got none; mend it, or move the lists away")
    return pack_files(root, classes, files, is_flat=is_flat), missing


def _by_stem(folder: bytes, suffixes: tuple[bytes, ...]) -> dict[bytes, tuple[bytes, int]]:
    return {os.path.splitext(name)[0]: (name, size) for name, size in list_files(folder, suffixes)}
