"""Atomic files: a reader sees the old content or the new, never half of either."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Lets `write` fill a temporary file beside `path`, then flushes it to disk and renames it into place.

    The temporary file is removed when anything fails, a full disk included; `path` then keeps its old content.

    Raises:
        OSError: it cannot be written; with the path, which the system leaves out where a disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.filename in (None, str(temporary), temporary) and error.errno is not None:
            raise OSError(error.errno, error.strerror or "", str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the rename itself must survive a power cut
    finally:
        os.close(directory)


@contextlib.contextmanager
def locked_folder(folder: Path, lock: str) -> Iterator[None]:
    """Waits until no other process is inside, such as the other runs of a sweep; makes the folder.

    Args:
        folder: what is to be filled once.
        lock: name of the file in it that is locked; it stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / lock, "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remove_leftovers(directory: Path) -> None:
    """Removes the temporary files of a process that was killed while it wrote. Nobody else may write there now."""
    for leftover in directory.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Writes bytes atomically."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_atomic(path, write)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text atomically; what a file's name has of bytes that are none is escaped."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Writes a value as indented JSON atomically; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")
