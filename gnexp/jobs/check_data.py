"""Decodes every image of a folder: `check_data SETTINGS`, JSON of root, processes and what is expected."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gnexp.data.check import Finding, Listing, inspect_images, list_split
from gnexp.data.image_files import find_root

SPLITS = ("train", "val")


def main(words: list[str]) -> int:
    """Prints a line for each bad file and the counts; returns 1 if anything is bad.

    Raises:
        ValueError: no such folder.
    """
    settings: dict[str, Any] = json.loads(words[0])
    root = find_root(settings["root"], "imagefolder")
    listings = {split: list_split(root / split) for split in SPLITS}
    num_bad = 0
    for line in _unexpected(root, listings, settings):
        num_bad += 1
        print(f"bad   {line}", flush=True)
    for split, listing in listings.items():
        num_bad += _check_split(split, listing, settings["processes"])
    print(f"{root}: {num_bad} bad" if num_bad else f"{root}: every image can be read")
    return 1 if num_bad else 0


def _check_split(split: str, listing: Listing, num_processes: int) -> int:
    """Decodes a split's images, says what is found and returns how many findings are bad."""
    num_bad = sum(_say(finding) for finding in listing.findings)
    others = f", {listing.num_others} other files passed over" if listing.num_others else ""
    with tqdm(
        total=len(listing.paths), desc=split, unit="image", leave=False, disable=not sys.stderr.isatty()
    ) as bar:
        for done, findings in inspect_images(listing.paths, num_processes):
            num_bad += sum(_say(finding) for finding in findings)
            bar.update(done)
    print(f"{split}: {len(listing.classes)} classes, {len(listing.paths)} images{others}", flush=True)
    return num_bad


def _say(finding: Finding) -> bool:
    with tqdm.external_write_mode(file=sys.stdout):
        print(f"{'bad ' if finding.is_bad else 'note'}  {finding.path}: {finding.reason}", flush=True)
    return finding.is_bad


def _unexpected(root: Path, listings: dict[str, Listing], settings: dict[str, Any]) -> list[str]:
    """Lines on classes that one split lacks, and on counts that are not those of the data set that was named."""
    classes = {split: set(listing.classes) for split, listing in listings.items()}
    lines = []
    for split, other in (SPLITS, SPLITS[::-1]):
        if not classes[split]:
            lines.append(f"{root / split}: no class folders; each image belongs in {root / split}/<class>/")
        for name in sorted(classes[other] - classes[split]) if classes[split] else []:
            lines.append(f"{root / split}: no class {name}, which {other} has")
    for split, listing in listings.items():
        for key, num, what in (
            ("num_classes", len(listing.classes), "classes"),
            (f"expected_{split}", len(listing.paths), "images"),
        ):
            expected = settings.get(key)
            if expected not in (None, num):
                lines.append(f"{root / split}: {num} {what}, {settings['name']} has {expected}")
    return lines
