"""The files in a tar or a zip, one after the other: links, devices and names that lead elsewhere are refused."""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from gnexp.system.names import shown

_BLOCK = 512  # bytes, of a tar: it ends with blocks of zeros
_GZIP = b"\x1f\x8b"  # what it begins with
_AT_ONCE = 1 << 20
_AGAIN = "get the archive again"
_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError),
    *(
        ValueError,
        LookupError,
        OverflowError,
        struct.error,
    ),  # what a header's wrong numbers and names come to
)
# What zipfile raises for a way to compress that it does not know, and for a member with a password.
_UNKNOWN = (NotImplementedError, RuntimeError)


class Member(NamedTuple):
    """A plain file of an archive."""

    name: str  # as the archive has it
    size: int  # bytes
    label: str  # archive and member, for a line
    open: Callable[[], IO[bytes]]
    start: int = 0  # of a tar's: where its bytes begin

    @property
    def base(self) -> str:
        """Its name without folders."""
        return self.name.rpartition("/")[2]

    def read(self, most: int = _AT_ONCE) -> Iterator[bytes]:
        """Its bytes, `most` at a time.

        Raises:
            ValueError: it is damaged; what was yielded is not to be used.
        """
        with naming_damage(self.label):
            stream = self.open()
        with stream:
            done = 0
            while True:
                with naming_damage(self.label):
                    chunk = stream.read(most)
                if not chunk:
                    break
                done += len(chunk)
                yield chunk
        if done != self.size:
            raise damaged(self.label, f"has {done} of its {self.size} bytes")


def damaged(label: str, reason: object) -> ValueError:
    """The line on an archive, or a member, that cannot be read."""
    said = " ".join(str(reason).split()) or "ends too early"
    return ValueError(f"{shown(label)} is damaged: {said}; {_AGAIN}")


@contextlib.contextmanager
def naming_damage(label: str) -> Iterator[None]:
    """Inside, archives are read alone: their errors become one line that names `label`."""
    try:
        yield
    except _DAMAGE as error:
        raise damaged(label, error) from error
    except _UNKNOWN as error:
        raise ValueError(f"{shown(label)} cannot be unpacked: {error}; {_AGAIN}") from error
    except OSError as error:
        raise ValueError(f"cannot read {shown(label)}: {error.strerror or error}") from error


@contextlib.contextmanager
def opened_tar(path: Path) -> Iterator[io.BufferedIOBase]:
    """A tar's own bytes, also of one that is compressed: by its first bytes, since names are wrong at times."""
    with naming_damage(str(path)):
        file: io.BufferedIOBase = io.BufferedReader(io.FileIO(path))
    with file:
        with naming_damage(str(path)):
            is_packed = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
        yield gzip.GzipFile(fileobj=file) if is_packed else file


def read_tar(file: io.BufferedIOBase, archive: str) -> Iterator[Member]:
    """The plain files of a tar, in its order; each is to be read before the next one.

    Args:
        file: of the tar; it need not be able to go back.
        archive: its name, for errors.

    Raises:
        ValueError: a member that is a link or a device, or leaves its folder, or a tar that is damaged or cut off.
    """
    watched = _Watched(file)
    label = archive
    with naming_damage(label):
        tar = tarfile.TarFile(fileobj=watched)
    with tar:
        while True:
            with naming_damage(
                f"{archive}, behind {label.rpartition(': ')[2]}" if label != archive else archive
            ):
                info = tar.next()
            if info is None:
                break
            label = f"{archive}: {info.name}"
            _check_name(info.name, label)
            if not (info.isreg() or info.isdir()):
                raise _refused(label, "a link" if info.issym() or info.islnk() else "a device")
            if info.isreg():
                opener = functools.partial(_file_of, tar, info)
                yield Member(info.name, info.size, label, opener, info.offset_data)
    # Python takes a broken header for the end, and the end of a file that was cut off between two members too.
    if len(watched.last) < _BLOCK or watched.last.strip(b"\0"):
        raise damaged(archive, f"no end and no whole header behind {shown(label)}")
    with naming_damage(archive):
        while file.read(_AT_ONCE):  # gzip's checksum stands at its end
            pass


def _file_of(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(info)
    assert file is not None, "a plain file has content"
    return file


@contextlib.contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip whose list of members can be read."""
    with naming_damage(str(path)):
        file = zipfile.ZipFile(path)
    with file:
        yield file


def list_zip(file: zipfile.ZipFile, archive: str) -> list[Member]:
    """The plain files of a zip.

    Raises:
        ValueError: a member that is a link or a device, or leaves its folder.
    """
    found = []
    for info in file.infolist():
        label = f"{archive}: {info.filename}"
        _check_name(info.orig_filename, label)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refused(label, "a link" if kind == stat.S_IFLNK else "a device")
        if not info.is_dir():
            found.append(Member(info.filename, info.file_size, label, functools.partial(file.open, info)))
    return found


def file_member(path: Path) -> Member:
    """A file beside the archives, as if it were a member."""
    with naming_damage(str(path)):
        return Member(path.name, path.stat().st_size, str(path), lambda: open(path, "rb"))


def _check_name(name: str, label: str) -> None:
    if name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/"):
        raise ValueError(
            f"{shown(label)}: this name leads out of the folder it is unpacked into, no such archive is taken; {_AGAIN}"
        )


def _refused(label: str, what: str) -> ValueError:
    return ValueError(f"{shown(label)}: is {what}, and plain files alone are unpacked; {_AGAIN}")


class _Watched(io.RawIOBase):
    """A file, and what was read of it last: after a tar's last member that is its end."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file = file
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        self.last = self._file.read(size)
        return self.last

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


class Section(io.RawIOBase):
    """Some of a file's bytes, as a file: a tar within a tar."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        self._file = io.FileIO(path)
        self._start, self._size, self._at = start, size, 0

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        self._file.seek(self._start + self._at)
        chunk = self._file.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(chunk)] = chunk
        self._at += len(chunk)
        return len(chunk)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()
