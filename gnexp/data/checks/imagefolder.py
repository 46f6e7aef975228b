"""Files in class folders: every image decoded once, and what a split lacks that the other has."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from torch.utils.data import Dataset as TorchDataset

from gnexp.data.checks.findings import SPLITS, Finding, Listing, Survey, inspect_image
from gnexp.data.class_files import IMAGE_SUFFIXES, find_root
from gnexp.data.dataset import Indices
from gnexp.data.images.folders import Others, find_classes, walk
from gnexp.system.names import shown


def survey_imagefolder(root: str | None) -> Survey:
    """Lists both splits.

    Raises:
        ValueError: no such folder, or one that cannot be listed.
    """
    return survey_folders(find_root(root, "imagefolder"), IMAGE_SUFFIXES, "image", _Inspector)


def survey_folders(
    place: Path,
    suffixes: tuple[bytes, ...],
    what: str,
    inspector: Callable[[list[str]], TorchDataset[list[Finding]]],
) -> Survey:
    """Lists both splits of class folders.

    Args:
        place: that holds train/ and val/.
        suffixes: of the files, in lower case.
        what: an image or a video.
        inspector: of the files of these paths.

    Raises:
        ValueError: a folder that cannot be listed.
    """
    others = {split: Others() for split in SPLITS}
    classes = {split: find_classes(bytes(place / split), others[split]) for split in SPLITS}
    findings = []
    for split, other in (SPLITS, SPLITS[::-1]):
        folder = str(place / split)
        if not classes[split]:
            fix = f"each {what} belongs in {folder}/<class>/"
            findings.append(Finding(folder, f"no class folders; {fix}", True))
        else:
            missing = sorted(set(classes[other]) - set(classes[split]))
            findings += [
                Finding(folder, f"no class {shown(name)}, which {other} has", True) for name in missing
            ]
    splits = {
        split: _list_split(place / split, classes[split], others[split], suffixes, what, inspector)
        for split in SPLITS
    }
    return Survey(place, splits, findings)


def _list_split(
    folder: Path,
    classes: list[bytes],
    others: Others,
    suffixes: tuple[bytes, ...],
    what: str,
    inspector: Callable[[list[str]], TorchDataset[list[Finding]]],
) -> Listing:
    """Lists the class folders, as scan_classes does, but goes on past what it would refuse."""
    paths: list[str] = []
    findings: list[Finding] = []
    for name in classes:
        place = os.path.join(bytes(folder), name)
        own = [os.fsdecode(os.path.join(place, file)) for file in walk(place, suffixes, others)]
        paths += own
        if not own:
            findings.append(Finding(os.fsdecode(place), f"a class without one {what}", True))
    passed_over = others.line(folder)
    return Listing(
        place=str(folder),
        classes=(len(classes), "classes"),
        files=(len(paths), f"{what}s"),
        findings=findings,
        beside=(passed_over,) if passed_over else (),
        inspector=inspector(paths),
    )


class _Inspector(TorchDataset[list[Finding]]):
    def __init__(self, paths: list[str]) -> None:
        self._paths = paths

    def __getitem__(self, indices: Indices) -> list[Finding]:
        found = (inspect_image(self._paths[index]) for index in indices)
        return [finding for finding in found if finding is not None]
