"""The growing files of a run's directory: machines, metrics, timing and TensorBoard's events."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from gnexp.engine.train import EpochRecord
from gnexp.runs.directory import RunDirectory
from gnexp.system.files import write_json, write_text


class Journal:
    """Appends one line per epoch. Lines past the epoch that a run resumes from are cut back on opening.

    Args:
        directory: the run's.
        done_epochs: epochs that the checkpoint holds.

    Raises:
        ValueError: a line of those epochs is missing.
    """

    def __init__(self, directory: RunDirectory, *, done_epochs: int) -> None:
        self._directory = directory
        for path in (directory.metrics, directory.timing):
            kept = [line for line in _whole_lines(path) if line["epoch"] <= done_epochs]
            if [line["epoch"] for line in kept] != list(range(1, done_epochs + 1)):
                raise ValueError(
                    f"{path} has lost lines of the {done_epochs} epochs that the checkpoint holds; "
                    "delete the run's directory to start it again"
                )
            write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._writer = SummaryWriter(str(directory.tensorboard), purge_step=done_epochs + 1)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.close()

    def add_env(self, segment: dict[str, Any]) -> list[dict[str, Any]]:
        """Adds this segment's entry to those of earlier ones and returns all of them."""
        path = self._directory.env
        try:
            segments = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            segments = []
        segments.append(segment)
        write_json(path, segments)
        return list(segments)

    def add(self, record: EpochRecord) -> None:
        """Appends an epoch's metrics and timing, on disk when it returns."""
        _append(self._directory.metrics, record.metrics)
        _append(self._directory.timing, record.timing)
        for key, value in {**record.metrics, **record.timing}.items():
            if key != "epoch":
                self._writer.add_scalar(key, value, record.metrics["epoch"])
        self._writer.flush()

    def records(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """All lines of metrics and of timing, earlier segments' included."""
        return _whole_lines(self._directory.metrics), _whole_lines(self._directory.timing)


def _append(path: Path, values: dict[str, float | int]) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(values, allow_nan=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """The lines that were written whole; a torn last line is what a power cut leaves."""
    lines = []
    if path.exists():
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
    return lines
