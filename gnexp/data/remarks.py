"""What decoders remark on a file that they can read all the same, with the file's name.

Pillow warns without a name, and libraries in C write to stderr. A process that decodes has both as FileWarning, and a
loader process hands them over with what it has decoded.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator

from gnexp.system.names import shown


class FileWarning(UserWarning):
    """What a decoder remarks on a file."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{shown(path)}: {reason}")
        self.path, self.reason = path, reason


@contextlib.contextmanager
def remarks_heard() -> Iterator[list[str]]:
    """Keeps what Python code warns of meanwhile in the list."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield said
        finally:
            said += [_one_line(str(warning.message)) for warning in caught]


@contextlib.contextmanager
def c_heard(said: list[str]) -> Iterator[None]:
    """Adds what C code writes to stderr meanwhile to the list."""
    try:
        kept, heard = os.dup(2), os.memfd_create("stderr")
    except (OSError, AttributeError):  # no stderr, or no Linux: it is written as it would have been
        yield
        return
    try:
        os.dup2(heard, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            text = os.pread(heard, 4096, 0).decode(errors="replace")
            said += [_one_line(line) for line in text.splitlines() if line.strip()]
    finally:
        os.close(heard)
        os.close(kept)


@contextlib.contextmanager
def file_warnings(take: Callable[[FileWarning], None]) -> Iterator[None]:
    """Gives every FileWarning to `take`, each time; other warnings go their way."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", FileWarning)
        show = warnings.showwarning

        def choose(message: Warning | str, *rest: object, **named: object) -> None:
            if isinstance(message, FileWarning):
                take(message)
            else:
                show(message, *rest, **named)  # type: ignore[arg-type]

        warnings.showwarning = choose
        yield


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
