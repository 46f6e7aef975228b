"""COCO's layout: every entry of the annotation files, every image and every mask decoded once."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import Dataset as TorchDataset

from gnexp.data.checks.findings import SPLITS, Finding, Listing, Survey, inspect_image
from gnexp.data.class_files import find_root
from gnexp.data.coco import LAYOUT, split_paths
from gnexp.data.coco_files import CocoFiles, read_coco
from gnexp.data.coco_pieces import check_size
from gnexp.data.dataset import Indices
from gnexp.data.folders import list_folder
from gnexp.data.remarks import remarks_heard


def survey_coco(root: str | None) -> Survey:
    """Reads both annotation files.

    Raises:
        ValueError: no such folder, or one that cannot be listed.
    """
    place = find_root(root, "coco", LAYOUT)
    faults: dict[str, list[str]] = {split: [] for split in SPLITS}
    files: dict[str, CocoFiles] = {}
    for split in SPLITS:
        try:
            files[split] = read_coco(*split_paths(place, split), faults[split])
        except ValueError as error:  # of the file as a whole: there is nothing to go on with
            faults[split].append(str(error))
    listings = {split: _list_split(place, split, files.get(split), faults[split]) for split in SPLITS}
    findings = []
    if len(files) == 2 and files["train"].category_ids != files["val"].category_ids:
        findings.append(
            Finding(
                str(files["val"].annotations),
                f"other categories than {files['train'].annotations.name}",
                True,
            )
        )
    return Survey(place, listings, findings)


def _list_split(root: Path, split: str, files: CocoFiles | None, faults: list[str]) -> Listing:
    annotations, folder = split_paths(root, split)
    findings = [_finding(annotations, fault) for fault in faults]
    if files is None:
        return Listing(
            place=str(annotations),
            classes=(0, "categories"),
            files=(0, "images"),
            findings=findings,
            inspector=_Inspector(None),
        )
    num_unused = int((np.diff(files.starts) == 0).sum())
    if split == "train" and not len(files.labels):
        findings.append(
            Finding(str(annotations), "no usable annotation, so there is nothing to train on", True)
        )
    elif split == "train" and num_unused:
        reason = f"{num_unused} images without a usable annotation, left out of training"
        findings.append(Finding(str(annotations), reason, False))
    others = len({os.fsdecode(entry.name) for entry in list_folder(bytes(folder))} - {*files.names})
    return Listing(
        place=str(annotations),
        classes=(len(files.category_ids), "categories"),
        files=(len(files.names), "images"),
        findings=findings,
        beside=(
            f"{len(files.labels)} usable annotations",
            *([f"{others} other files passed over"] if others else []),
        ),
        inspector=_Inspector(files),
    )


class _Inspector(TorchDataset[list[Finding]]):
    """Decodes images and their masks, and compares sizes with what the entries say."""

    def __init__(self, files: CocoFiles | None) -> None:
        self._files = files

    def __getitem__(self, indices: Indices) -> list[Finding]:
        assert self._files is not None, "a split without files has no indices"
        return [finding for index in indices for finding in _inspect(self._files, int(index))]


def _inspect(files: CocoFiles, index: int) -> list[Finding]:
    path = files.path(index)
    found = inspect_image(path)
    findings = [] if found is None else [found]
    if found is None or not found.is_bad:
        with remarks_heard(), Image.open(path) as image:  # which inspect_image has told
            width, height = image.size
        try:
            check_size(files, index, height, width)
            for row in range(files.starts[index + 1] - files.starts[index]):
                files.mask(index, row)
        except ValueError as error:
            findings.append(_finding(files.annotations, str(error)))
    return findings


def _finding(annotations: Path, line: str) -> Finding:
    """A line as opening the data set would raise it, told of the file that it is about."""
    return Finding(str(annotations), line.removeprefix(str(annotations)).lstrip(": "), True)
