"""What is printed while work goes on: where nobody can read it any more it is dropped, and the work goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any, TextIO


@contextlib.contextmanager
def dropping_unprintable() -> Iterator[None]:
    """Inside, what stdout and stderr do not take is dropped: a closed terminal or pipe, a full disk, none at all.

    A terminal may also stop a background process that writes (`stty tostop`), as a trainer is to it; then the
    words are taken and nobody is stopped.
    """
    _open_closed()
    before = sys.stdout, sys.stderr
    # The streams themselves were set to None where they were closed when Python began.
    sys.stdout, sys.stderr = (_Dropping(stream or _nowhere()) for stream in before)
    ours: list[Any] = [sys.stdout, sys.stderr]
    is_main = threading.current_thread() is threading.main_thread()
    on_write = signal.signal(signal.SIGTTOU, signal.SIG_IGN) if is_main else None
    try:
        yield
    finally:
        for stream in ours:
            stream.flush()
        sys.stdout, sys.stderr = before
        if is_main:
            signal.signal(signal.SIGTTOU, on_write)


def require_printed() -> None:
    """For what is printed as the work itself, and not beside it: that all of it has been taken.

    Raises:
        OSError: some of it was dropped.
    """
    sys.stdout.flush()
    if isinstance(sys.stdout, _Dropping) and sys.stdout.error is not None:
        raise sys.stdout.error


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def _open_closed() -> None:
    """Opens /dev/null where stdin, stdout or stderr was closed (`>&-`).

    A file of ours would get that number, and with it all that is printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, hence this one


class _Dropping:
    """A text stream that drops what it cannot write, and from then on everything.

    Args:
        stream: the real one.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None  # why something was dropped

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Lets the buffer, all that is still to come and other processes' words go where they trouble nobody."""
        if isinstance(
            error, BlockingIOError
        ):  # somebody else made it so that it does not wait; it has room later
            return
        self.error = error
        with contextlib.suppress(OSError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
