"""COCO's layout: every entry of the annotation files, every image and every mask decoded once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import Dataset as TorchDataset

from gnexp.data.checks.findings import SPLITS, Finding, Listing, Survey, inspect_image
from gnexp.data.class_files import find_root
from gnexp.data.coco.annotations import NoMasksError, Reading, list_files
from gnexp.data.coco.categories import differing_categories
from gnexp.data.coco.chunks import check_size
from gnexp.data.coco.dataset import LAYOUT, split_paths
from gnexp.data.coco.files import CocoFiles, read_coco
from gnexp.data.coco.reading import Faults
from gnexp.data.dataset import Indices
from gnexp.data.remarks import remarks_heard


def survey_coco(root: str | None) -> Survey:
    """Reads both annotation files.

    Raises:
        ValueError: no such folder, or one that cannot be listed.
    """
    place = find_root(root, "coco", LAYOUT)
    found = {split: _read(place, split) for split in SPLITS}
    findings = []
    train, val = (found[split][0] for split in SPLITS)
    if train is not None and val is not None and (difference := differing_categories(train, val)):
        reason = f"other categories than {train.annotations.name}: {difference}"
        findings.append(Finding(str(val.annotations), reason, True))
    listings = {split: _list_split(place, split, *found[split]) for split in SPLITS}
    return Survey(place, listings, findings)


def _read(root: Path, split: str) -> tuple[CocoFiles | None, list[Finding]]:
    """A split without its broken entries, if there is anything to go on with, and what is to say of the file."""
    path, folder = split_paths(root, split)
    faults: Faults = []
    findings: list[Finding] = []
    try:
        files = read_coco(path, folder, faults=faults)
    except NoMasksError as error:
        faults.clear()
        findings.append(Finding(str(path), f"{error.reason}; {error.fix}", False))
        files = read_coco(path, folder, Reading(has_masks=False), faults)
    except ValueError as error:  # of the file as a whole
        return None, [_finding(path, str(error))]
    findings += [_finding(path, str(fault)) for fault in faults]
    for name, category in zip(files.category_names, files.category_ids, strict=True):
        if name is None:
            findings.append(Finding(str(path), f"category {category} has no name", False))
    return files, findings


def _list_split(root: Path, split: str, files: CocoFiles | None, findings: list[Finding]) -> Listing:
    annotations, folder = split_paths(root, split)
    if files is None:
        return Listing(
            place=str(annotations),
            classes=(0, "categories"),
            files=(0, "images"),
            findings=findings,
            inspector=_Inspector(None),
        )
    num_unused = int((np.diff(files.starts) == 0).sum())
    if not len(files.labels):
        purpose = "train on" if split == "train" else "score"
        got = f" (it has {files.unused})" if files.unused else ""
        findings.append(
            Finding(str(annotations), f"no usable annotation{got}, so there is nothing to {purpose}", True)
        )
    elif split == "train" and num_unused:
        reason = f"{num_unused} images without a usable annotation, left out of training"
        findings.append(Finding(str(annotations), reason, False))
    is_hidden = {name: name.rpartition("/")[2].startswith(".") for name in list_files(folder, files.names)}
    others = len({name for name in is_hidden if not is_hidden[name]} - {*files.names})
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
                if files.has_masks:
                    files.mask(index, row)
        except ValueError as error:
            findings.append(_finding(files.annotations, str(error)))
    return findings


def _finding(annotations: Path, line: str) -> Finding:
    """A line as opening the data set would raise it, told of the file that it is about."""
    return Finding(str(annotations), line.removeprefix(str(annotations)).lstrip(": "), True)
