"""status.json: what has become of a run's last sitting, for whoever watches from outside."""

from __future__ import annotations

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from gnexp.system.files import write_json

_NAME = "status.json"
RUNNING, PREEMPTED, FAILED, DONE = "running", "preempted", "failed", "done"


class Status:
    """Writes a run's status.json, atomically.

    Args:
        directory: the run's.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / _NAME

    def say(self, status: str, **details: object) -> None:
        """Replaces the status: one of RUNNING, PREEMPTED, FAILED, DONE. One that stays RUNNING was killed."""
        write_json(
            self._path,
            {
                "status": status,
                **details,
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        )


def read_status(directory: Path) -> str | None:
    """The status of a run's last sitting, or None where nothing says it."""
    return _read(directory, "status")


def read_message(directory: Path) -> str:
    """What a run that failed said of it, or nothing."""
    return _read(directory, "message") or ""


def has_failed_since(directory: Path, moment: float) -> bool:
    """Whether a process of the run has said since then, by the clock of files, that it failed."""
    try:
        return (directory / _NAME).stat().st_mtime >= moment and read_status(directory) == FAILED
    except OSError:
        return False


def _read(directory: Path, key: str) -> str | None:
    try:
        found = json.loads((directory / _NAME).read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None
