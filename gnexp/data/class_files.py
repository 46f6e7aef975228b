"""The files of a split of class folders, images or videos: compact enough for 1.28 million, scanned in seconds."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gnexp.config import DataConfig
from gnexp.data.dataset import check_num
from gnexp.data.images.folders import Others, find_classes, size_of, walk
from gnexp.system.names import shown

IMAGE_SUFFIXES = (  # torchvision's, and .gif, of which the first frame is taken
    *(b".jpeg", b".jpg", b".png", b".bmp", b".ppm", b".pgm", b".tif", b".tiff", b".webp"),
    b".gif",
)


@dataclass(frozen=True)
class ClassFiles:
    """The images (or videos) of a split, by class and name. One block of bytes: 1.28 million paths take about 60 MB."""

    folder: bytes
    classes: tuple[bytes, ...]
    names: bytes  # all file names below their class's folder, one after the other
    starts: npt.NDArray[np.int64]  # (N,), of each name in `names`
    ends: npt.NDArray[np.int64]  # (N,)
    labels: npt.NDArray[np.int64]  # (N,), index into classes
    digest: str  # sha256 of classes, names and sizes
    is_flat: bool = False  # whether the files lie in `folder` itself, and not in a folder of their class
    others: Others = dataclasses.field(default_factory=Others)  # that are not among the names

    def path(self, index: int) -> str:
        """Of file `index`."""
        name = self.names[self.starts[index] : self.ends[index]]
        where = b"" if self.is_flat else self.classes[self.labels[index]]
        return os.fsdecode(os.path.join(self.folder, where, name))

    def first(self, num: int | None, key: str) -> ClassFiles:
        """The first files of every class, `num` in all (None = all), as even as the classes allow.

        Raises:
            ValueError: fewer files than `num`, or `num` below 1; names the config's `key`.
        """
        if num is None:
            return self
        check_num(num, len(self.labels), key, f"the files in {shown(self.folder)}")
        ranks = np.arange(len(self.labels)) - np.searchsorted(self.labels, self.labels)
        kept = np.sort(np.lexsort((self.labels, ranks))[:num])
        starts, ends, labels = self.starts[kept], self.ends[kept], self.labels[kept]
        return dataclasses.replace(self, starts=starts, ends=ends, labels=labels)


def find_root(root: str | None, name: str, layout: Sequence[str] = ("train", "val")) -> Path:
    """The folder that data.root names.

    Args:
        root: data.root as it was given.
        name: of the data set, for the error.
        layout: the folders that it must hold.

    Raises:
        ValueError: none was given, or it or one of those folders is missing.
    """
    folders = " and ".join(filter(None, (", ".join(f"{entry}/" for entry in layout[:-1]), f"{layout[-1]}/")))
    wanted, fix = f"data.root must be the folder that holds {folders}", "give data.root=/path/to/it"
    if root is None:
        raise ValueError(f"{wanted}, got none; data={name} has no default, {fix}")
    path = Path(root).expanduser()
    if not path.is_dir():
        raise ValueError(
            f"{wanted}, got {path}, which {'is no folder' if path.exists() else 'is not there'}; {fix}"
        )
    for entry in layout:
        if not (path / entry).is_dir():
            raise ValueError(
                f"{wanted}, got {path}, which has no folder {entry}; make {path / entry}, or {fix}"
            )
    return path


def scan_classes(
    folder: str, suffixes: tuple[bytes, ...] = IMAGE_SUFFIXES, what: str = "image"
) -> ClassFiles:
    """Lists the files of a split's class folders; labels follow the sorted class names.

    Files lie in a class's folder or in folders below it, in torchvision's order: folder by folder, then by name. Hidden
    entries and files of other suffixes are passed over and counted.

    Args:
        folder: of the split.
        suffixes: of the files, in lower case.
        what: an image or a video, for errors.

    Raises:
        ValueError: no such folder, no class folders, or a class without a file.
    """
    root, others = os.fsencode(folder), Others()
    classes = find_classes(root, others)
    if not classes:
        raise ValueError(
            f"{folder} must hold one folder per class, got none; move each {what} to {folder}/<class>/"
        )
    files = []
    for name in classes:
        place = os.path.join(root, name)
        own = [(path, size_of(os.path.join(place, path))) for path in walk(place, suffixes, others)]
        if not own:
            raise ValueError(
                f"every class needs at least one {what}, got none in {shown(place)} "
                f"({', '.join(map(os.fsdecode, suffixes))}); add one, or remove it from train and val"
            )
        files.append(own)
    return dataclasses.replace(pack_files(root, classes, files), others=others)


def pack_files(
    folder: bytes,
    classes: Sequence[bytes],
    files: Sequence[Sequence[tuple[bytes, int]]],
    *,
    is_flat: bool = False,
) -> ClassFiles:
    """The compact list of files.

    Args:
        folder: of the split.
        classes: sorted.
        files: of each class, sorted: names and sizes in bytes.
        is_flat: whether they lie in `folder` itself.
    """
    digest = hashlib.sha256()
    for name, own in zip(classes, files, strict=True):
        digest.update(b"".join(b"%s/%s\0%d\n" % (name, file, size) for file, size in own))
    lengths = np.array([len(file) for own in files for file, _ in own], dtype=np.int64)
    ends = np.cumsum(lengths)
    labels = np.repeat(np.arange(len(classes)), [len(own) for own in files])
    names = b"".join(file for own in files for file, _ in own)
    return ClassFiles(
        folder, tuple(classes), names, ends - lengths, ends, labels, digest.hexdigest(), is_flat
    )


def check_classes(train: ClassFiles, val: ClassFiles, num: int, what: str = "class folders") -> None:
    """Refuses splits of different classes, or of another number of them than the config says.

    Args:
        train: of the training split.
        val: of the other.
        num: data.num_classes.
        what: the classes are, for the error.

    Raises:
        ValueError: as above.
    """
    for these, those in ((train, val), (val, train)):
        extra = sorted(set(these.classes) - set(those.classes))
        if extra:
            raise ValueError(
                f"train and val must have the same classes, got {len(train.classes)} and {len(val.classes)}: "
                f"{shown(those.folder)} has no {shown(extra[0])}; add it, or remove the other's"
            )
    found = len(train.classes)
    if found != num:
        raise ValueError(
            f"data.num_classes must be the number of {what} in {os.fsdecode(train.folder)}, got {num} and {found} "
            f"{what.split()[-1]}; give data.num_classes={found}, or mend the folder"
        )


def fingerprint_of(train: ClassFiles, val: ClassFiles, sha256: str | None, root: Path) -> str:
    """Of the files of both splits.

    Raises:
        ValueError: it is not the one that data.sha256 says.
    """
    fingerprint = hashlib.sha256(f"train {train.digest}\nval {val.digest}\n".encode()).hexdigest()
    if sha256 not in (None, fingerprint):
        raise ValueError(
            f"data.sha256 must be the fingerprint of the files in {root}, got {sha256}, they have {fingerprint}; "
            "mend the folder, or give data.sha256=null or the new value"
        )
    return fingerprint


def file_notes(config: DataConfig, root: Path, splits: Mapping[str, ClassFiles], what: str) -> list[str]:
    """A line for each split with files that are passed over, or another number than the data set it is named after."""
    passed_over = [
        f"{root / split}: {line}"
        for split, files in splits.items()
        if (line := files.others.line(root / split))
    ]
    return passed_over + [
        f"{config.name} has {config.expected[split]} {split} {what}, {root / split} holds {len(files.labels)}"
        for split, files in splits.items()
        if config.expected[split] not in (None, len(files.labels))
    ]
