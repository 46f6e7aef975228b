"""What a plan of unpacking is made of: archives, the parts of a data set, and the files of each."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import NamedTuple

from gnexp.data.prepare.members import Member

_SPARE = 1.03  # of an archive's bytes: files end in the midst of a disk's block
_PACKED = 1.05  # of those that are compressed, which videos hardly are


class Archive(NamedTuple):
    """A file that a person has downloaded."""

    path: Path
    md5: str | None = None  # that is known of it

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size

    @property
    def room(self) -> int:
        """Bytes that its files take, about."""
        is_packed = self.path.name.endswith("gz")
        return int(self.size * (_PACKED if is_packed else _SPARE))


class Entry(NamedTuple):
    """A file to be written."""

    path: str  # below the part's folder; empty where the part is the file
    member: Member


class Unit(NamedTuple):
    """Some files of an archive that are unpacked together: done, they are not looked at again."""

    name: str  # within its part
    archive: str  # its name, for the lines
    size: int  # bytes, for the bar
    entries: Callable[[], Iterator[Entry]]


class Part(NamedTuple):
    """A folder (or a file) of the data set that appears once it is whole."""

    name: str  # below TO
    archives: tuple[Archive, ...]
    room: int  # bytes that it takes, about
    units: Callable[[], Generator[Unit]]  # opens the archives, once their MD5 is known to be right


class Plan(NamedTuple):
    """What is to be unpacked; of what training looks for together the last part comes last."""

    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()  # to be said first


def find_archives(folder: Path, known: dict[str, str | None]) -> dict[str, Archive]:
    """Those archives that lie in a folder.

    Args:
        folder: FROM.
        known: name -> MD5.
    """
    return {name: Archive(folder / name, md5) for name, md5 in known.items() if (folder / name).is_file()}
