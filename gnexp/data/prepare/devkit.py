"""The classes of val's images, from ImageNet's devkit: the ground truth counts classes as meta.mat does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gnexp.data.prepare.mat import read_mat
from gnexp.data.prepare.members import damaged, opened_tar, read_tar

_TRUTH, _META = "data/ILSVRC2012_validation_ground_truth.txt", "data/meta.mat"
_MOST = 1 << 26  # bytes of each
_WNID = re.compile(r"n\d{8}")


def read_val_classes(devkit: Path) -> list[str]:
    """WordNet's id of the class of each image of val, in the order of their numbers.

    Raises:
        ValueError: the devkit is damaged, or lacks one of the two files.
    """
    contents: dict[str, bytes] = {}
    with opened_tar(devkit) as file:
        for member in read_tar(file, devkit.name):
            for name in (_TRUTH, _META):
                if f"/{member.name}".endswith(f"/{name}") and member.size <= _MOST:
                    contents[name] = b"".join(member.read())
    for name in (_TRUTH, _META):
        if name not in contents:
            raise ValueError(f"{devkit.name} lacks {name}; get ILSVRC2012_devkit_t12.tar.gz (task 1 and 2)")
    try:
        wnids = _wnids(read_mat(contents[_META]))
    except ValueError as error:
        raise damaged(f"{devkit.name}: {_META}", error) from error
    try:
        return [wnids[int(line)] for line in contents[_TRUTH].split()]
    except (ValueError, KeyError) as error:
        raise damaged(f"{devkit.name}: {_TRUTH}", f"it names the class {error}") from error


def _wnids(variables: dict[str, Any]) -> dict[int, str]:
    """ILSVRC2012_ID -> WNID of the synsets without children, which are the classes."""
    try:
        found = {
            int(synset["ILSVRC2012_ID"][0]): synset["WNID"]
            for synset in variables["synsets"]
            if int(synset["num_children"][0]) == 0
        }
    except (LookupError, TypeError) as error:
        raise ValueError(f"its synsets lack {error}") from error
    wrong = [wnid for wnid in found.values() if not (isinstance(wnid, str) and _WNID.fullmatch(wnid))]
    if wrong or not found:
        raise ValueError(f"{wrong[0]!r} is no WordNet id" if wrong else "no synset without children")
    return found
