"""One writer per run directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from typing import TextIO

from gnexp.runs.directory import RunDirectory

_held: set[TextIO] = set()


def _let_go() -> None:
    """In a forked child, such as a loader process: it may outlive the run's process, and must not keep others out."""
    for file in _held:
        file.close()
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


class BusyError(ValueError):
    """Another process writes this run."""


def is_locked(directory: RunDirectory) -> bool:
    """Whether a process holds a run's directory now."""
    try:
        with open(directory.lock, encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is no such file, or no such directory yet
        return False
    return False


@contextlib.contextmanager
def locked(directory: RunDirectory) -> Iterator[None]:
    """Holds a run's directory; the kernel lets go of it when the process ends, however it ends.

    Raises:
        BusyError: another process holds it; the message names its pid and host.
    """
    with open(directory.lock, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise BusyError(f"{directory} is being written by {holder}; wait for it, or end it") from None
        file.truncate(0)
        file.write(f"pid {os.getpid()} on {socket.gethostname()}")
        file.flush()
        _held.add(file)
        try:
            yield
        finally:
            _held.discard(file)
