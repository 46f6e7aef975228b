"""What has become of a run's last segment, for whoever watches from outside; while it goes on, a sign of life."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from datetime import UTC, datetime

from gnexp.runs.directory import RunDirectory
from gnexp.system.files import write_json, write_text

RUNNING, PREEMPTED, FAILED, DONE = "running", "preempted", "failed", "done"


class Status:
    """Writes a run's status, atomically.

    Args:
        directory: the run's.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self._path = directory.status

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


def read_status(directory: RunDirectory) -> str | None:
    """The status of a run's last segment, or None where nothing says it."""
    return _read(directory, "status")


def read_message(directory: RunDirectory) -> str:
    """What a run that failed said of it, or nothing."""
    return _read(directory, "message") or ""


def has_failed_since(directory: RunDirectory, moment: float) -> bool:
    """Whether a process of the run has said since then, by the clock of files, that it failed."""
    try:
        return directory.status.stat().st_mtime >= moment and read_status(directory) == FAILED
    except OSError:
        return False


def write_error(directory: RunDirectory, message: str) -> None:
    """Keeps the last words of a run that failed, for the sweep to list."""
    write_text(directory.error, message + "\n")


def read_error(directory: RunDirectory) -> str:
    """The last words of a run that failed; empty where it did not."""
    return directory.error.read_text(encoding="utf-8").strip() if directory.error.exists() else ""


def last_metrics(directory: RunDirectory) -> dict[str, float]:
    """The record of the last epoch that was written whole; empty before the first."""
    try:
        lines = directory.metrics.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    for line in reversed(lines):
        with contextlib.suppress(ValueError):
            if isinstance(found := json.loads(line), dict):
                return found
    return {}


def _read(directory: RunDirectory, key: str) -> str | None:
    try:
        found = json.loads(directory.status.read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None
