"""What is in the folders of a split: the files below a class's, in torchvision's order, and what is passed over."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gnexp.system.names import shown


@dataclass
class Others:
    """Files and folders that are passed over: how many, and the first of them."""

    num: int = 0
    first: bytes | None = None

    def add(self, paths: Iterable[bytes]) -> None:
        """Counts more of them."""
        for path in paths:
            self.num, self.first = self.num + 1, min(path, self.first or path)

    def line(self, folder: Path) -> str | None:
        """What there is to say of those in a split's folder; None = nothing."""
        if self.first is None:
            return None
        first = shown(os.path.relpath(self.first, bytes(folder)))
        return f"{self.num} other {'entry' if self.num == 1 else 'entries'} passed over, the first {first}"


def find_classes(folder: bytes, others: Others) -> list[bytes]:
    """Sorted names of a split's class folders; what else is there is added to the others.

    Raises:
        ValueError: the folder cannot be listed.
    """
    entries, hidden = _list_all(folder)
    classes = sorted(entry.name for entry in entries if _is_dir(entry))
    others.add([*hidden, *(entry.path for entry in entries if not _is_dir(entry))])
    return classes


def walk(folder: bytes, suffixes: tuple[bytes, ...], others: Others) -> Iterator[bytes]:
    """A folder's files of these suffixes, as paths below it, and those of the folders in it, in torchvision's order.

    Links are followed, but not to a folder that the link lies in, where torchvision goes round and round.

    Args:
        folder: of a class.
        suffixes: of the files, in lower case.
        others: what is passed over is added to them.

    Raises:
        ValueError: a folder that cannot be listed.
    """
    found: list[tuple[bytes, list[bytes]]] = []  # folder below the first, the files in it
    waiting = [(b"", frozenset[tuple[int, int]]())]  # and the folders that it lies in
    while waiting:
        place, above = waiting.pop()
        path = os.path.join(folder, place) if place else folder
        status = os.stat(path)
        here = (status.st_dev, status.st_ino)
        if here in above:
            others.add([path])
            continue
        entries, passed_over = _list_all(path)
        own = []
        for entry in entries:
            if _is_dir(entry):
                waiting.append((os.path.join(place, entry.name), above | {here}))
            elif entry.name.lower().endswith(suffixes):
                own.append(entry.name)
            else:
                passed_over.append(entry.path)
        others.add(passed_over)
        found.append((place, sorted(own)))
    for place, own in sorted(found):
        yield from (os.path.join(place, name) for name in own)


def list_files(folder: bytes, suffixes: tuple[bytes, ...]) -> list[tuple[bytes, int]]:
    """Sorted names of the files of these suffixes directly in a folder, and their sizes in bytes.

    Raises:
        ValueError: the folder, or a file in it, cannot be read.
    """
    return sorted(
        (entry.name, size_of(entry.path))
        for entry in list_folder(folder)
        if entry.name.lower().endswith(suffixes) and not _is_dir(entry)
    )


def size_of(path: bytes) -> int:
    """Bytes of a file."""
    try:
        return os.stat(path).st_size
    except OSError as error:  # a dangling link, or a file removed since it was listed
        raise ValueError(f"cannot read {shown(path)}: {error.strerror}; mend or remove it") from error


def list_folder(folder: bytes) -> list[os.DirEntry[bytes]]:
    """What is in a folder, hidden entries left out, in no order.

    Raises:
        ValueError: it cannot be listed.
    """
    return _list_all(folder)[0]


def _list_all(folder: bytes) -> tuple[list[os.DirEntry[bytes]], list[bytes]]:
    """What is in a folder, and the paths of what is hidden there."""
    entries, hidden = [], []
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if entry.name.startswith(b"."):
                    hidden.append(entry.path)
                else:
                    entries.append(entry)
    except OSError as error:
        raise ValueError(
            f"cannot list the folder {shown(folder)}: {error.strerror}; give it to this user to read"
        ) from error
    return entries, hidden


def _is_dir(entry: os.DirEntry[bytes]) -> bool:
    """Whether it is a folder, or a link to one; a link that leads nowhere is none."""
    try:
        return entry.is_dir()
    except OSError:  # links that lead to each other
        return False
