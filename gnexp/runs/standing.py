"""Where a run stands, as its directory tells it: nothing is asked of the run itself, and nothing of its is held."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnexp.runs.directory import RunDirectory, run_dirs
from gnexp.runs.result import headline, load_result, score
from gnexp.runs.status import DONE, FAILED, PREEMPTED, RUNNING, last_metrics, read_error


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Of one run."""

    directory: RunDirectory
    state: str  # running | preempted | failed | done
    epoch: int  # finished ones
    epochs: int | None  # of its recipe; None where the spec cannot be read
    step: int | None  # of the epoch that goes on, as of the last sign of life
    score: str  # the last evaluation's, of a run that is done the reported one; empty before the first
    seen: float  # last sign of life, seconds since 1970
    message: str = ""  # why it failed


def standings(runs_dir: Path) -> list[Standing]:
    """Of every run in a folder, in the order of their directories' names."""
    return [standing for directory in run_dirs(runs_dir) if (standing := standing_of(directory))]


def standing_of(directory: RunDirectory) -> Standing | None:
    """Of one run; None for a directory that is none."""
    if not directory.spec.is_file():
        return None
    status, metrics = _read(directory.status), last_metrics(directory)
    epoch, found = int(metrics.get("epoch", 0)), score(metrics)
    state, message = _state(directory, status)
    step = status.get("step") if state in (RUNNING, PREEMPTED) and status.get("epoch") == epoch else None
    if directory.result.is_file():
        state, message = DONE, ""
        with contextlib.suppress(ValueError):
            found = headline(load_result(directory.result))
    return Standing(
        directory=directory,
        state=state,
        epoch=epoch,
        epochs=_epochs(directory),
        step=step,
        score=found,
        seen=_seen(directory),
        message=message,
    )


def _state(directory: RunDirectory, status: Mapping[str, Any]) -> tuple[str, str]:
    """The state of a run without a result, and why it failed."""
    if error := read_error(directory):
        return FAILED, error
    state = status.get("status")
    if state == FAILED:
        return FAILED, str(status.get("message", ""))
    if state == PREEMPTED:
        return PREEMPTED, ""
    if state == RUNNING and _has_ended(directory, status):
        return FAILED, "killed: its process has ended and said nothing; the same command goes on"
    return RUNNING, ""


def _has_ended(directory: RunDirectory, status: Mapping[str, Any]) -> bool:
    """Whether the process that wrote a status is no more; of another host's nobody here can tell.

    The run's lock is not tried: for that moment it would keep a starting trainer out.
    """
    pid = status.get("pid")
    if status.get("host") != socket.gethostname() or not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # another user's
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"gnexp.launch" in command:  # the number may be another run's by now
            return directory.run_id.encode() not in command
    return False


def _epochs(directory: RunDirectory) -> int | None:
    config = _read(directory.spec).get("config")
    with contextlib.suppress(TypeError, KeyError, ValueError):
        return int(config["recipe"]["epochs"])  # type: ignore[index]
    return None


def _seen(directory: RunDirectory) -> float:
    """When a file of the run was written last."""
    found = [0.0]
    for path in (directory.spec, directory.status, directory.metrics, directory.log, directory.result):
        with contextlib.suppress(OSError):
            found.append(path.stat().st_mtime)
    return max(found)


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        values = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(values, dict):
            return values
    return {}
