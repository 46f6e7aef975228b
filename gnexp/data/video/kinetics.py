"""Kinetics and whatever lies as it does: videos in class folders, or named by Kinetics' own lists, as clips.

Class folders: data.root/{train,val}/<class>/<video>. With lists, data.root/train.csv and val.csv (or validate.csv), the
videos are <split>/<label>/<id>_<start>_<end>.mp4, or all of a split in its one folder.
"""

from __future__ import annotations

from pathlib import Path

import torch

from gnexp.data.class_files import (
    ClassFiles,
    check_classes,
    file_notes,
    find_root,
    fingerprint_of,
    scan_classes,
)
from gnexp.data.kinds.kinetics import ClipsConfig, KineticsConfig
from gnexp.data.video.clips import Clips
from gnexp.data.video.kinetics_csv import find_lists, scan_listed

VIDEO_SUFFIXES = (b".mp4", b".mkv", b".webm", b".avi")
SPLITS = ("train", "val")


def open_kinetics(config: KineticsConfig, device: torch.device) -> Clips:
    """Lists the files; opens none.

    Raises:
        ValueError: a setting that this kind cannot follow, a folder that is missing or not what config says, or a list
            that is broken or names what must not be or, with data.on_error=fail, is not there.
    """
    root = find_root(config.root, config.name)
    train, val, notes = scan_splits(root, config)
    return Clips(
        config,
        device,
        train,
        val,
        fingerprint=fingerprint_of(train, val, config.sha256, root),
        notes=notes + file_notes(config, root, {"train": train, "val": val}, "videos"),
    )


def scan_splits(root: Path, config: ClipsConfig) -> tuple[ClassFiles, ClassFiles, list[str]]:
    """The files of both splits, and what is to say of them; raises ValueError as open_kinetics does."""
    lists = find_lists(root)
    notes: list[str] = []
    if lists is None:
        train, val = (scan_classes(str(root / split), VIDEO_SUFFIXES, "video") for split in SPLITS)
        check_classes(train, val, config.num_classes)
        return train, val, notes
    found = []
    for split in SPLITS:
        files, missing = scan_listed(lists[split], root / split, VIDEO_SUFFIXES)
        if missing and not config.skips_errors:
            raise ValueError(
                f"{lists[split]} names {len(missing)} video(s) that are not in {root / split}, the first {missing[0]}; "
                "get them, take them out of the list, or give data.on_error=skip"
            )
        if missing:
            notes.append(
                f"{len(missing)} video(s) of {lists[split]} are not in {root / split} and are left out"
            )
        found.append(files)
    train, val = found
    check_classes(train, val, config.num_classes, "listed labels")
    return train, val, notes
