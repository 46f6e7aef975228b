"""Checkpoints: written whole or not at all, told from damaged ones by a hash, read without executing anything."""

from __future__ import annotations

import contextlib
import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import torch

from gnexp.runs.directory import RunDirectory, hash_beside, put_aside
from gnexp.system.files import remove_leftovers, write_bytes, write_text

FORMAT = 2
_KEPT = 2  # should the newest be damaged after all, the one before it is there


def save_tensors(path: Path, values: dict[str, Any]) -> None:
    """Writes tensors and plain values atomically, with their sha256 beside them as `sha256sum --check` reads it.

    Raises:
        OSError: the disk is full or not writable; what was there before still is.
    """
    # Through memory: torch turns a full disk into a RuntimeError when it writes to a path itself.
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **values}, buffer)
    content = buffer.getbuffer()
    try:
        # The hash first: a kill between the two leaves a hash without a file, and never a file without its hash.
        write_text(hash_beside(path), f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")
        write_bytes(path, content)
    except OSError:
        if not path.exists():
            hash_beside(path).unlink(missing_ok=True)
        raise


def load_tensors(path: Path, device: torch.device) -> dict[str, Any]:
    """Reads what save_tensors wrote.

    Raises:
        ValueError: the file is damaged, of a newer format, or holds more than tensors and plain values.
    """
    try:
        content = path.read_bytes()
        expected = hash_beside(path).read_text(encoding="utf-8").split()[0]
        if hashlib.sha256(content).hexdigest() != expected:
            raise ValueError("its sha256 is not the one beside it")
        values: dict[str, Any] = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, IndexError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} cannot be read ({reason})") from None
    found = values.get("format") if isinstance(values, dict) else None
    if not isinstance(found, int) or found > FORMAT:
        raise ValueError(
            f"{path} has format {found}, this gnexp reads formats up to {FORMAT}; use the gnexp that wrote it"
        )
    return values


class Checkpoints:
    """The last checkpoints of a run, in a folder of their own. One process at a time may write there.

    Args:
        directory: the run's; the folder is created when something is saved.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        remove_leftovers(directory.checkpoints)

    def save(self, values: dict[str, Any], *, epoch: int, step: int) -> None:
        """Adds a checkpoint, then removes all but the newest.

        Raises:
            OSError: the disk is full or not writable; the older checkpoints are still there.
        """
        save_tensors(self._directory.checkpoint(epoch, step), values)
        for old in self._directory.all_checkpoints[_KEPT:]:
            old.unlink()
            with contextlib.suppress(OSError):
                hash_beside(old).unlink()

    def load(self, device: torch.device) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest checkpoint that is whole, or None where there is none, and a warning for each damaged one.

        Damaged ones are put aside once a whole one is found, as NAME.damaged.

        Raises:
            ValueError: there are checkpoints, and none is whole.
        """
        problems: list[str] = []
        found = self._directory.all_checkpoints
        for path in found:
            try:
                values = load_tensors(path, device)
            except ValueError as error:
                problems.append(str(error))
                continue
            for damaged in found[: len(problems)]:
                damaged.rename(put_aside(damaged))
                hash_beside(damaged).unlink(missing_ok=True)
            return values, problems
        if problems:
            raise ValueError(
                f"no checkpoint is whole: {'; '.join(problems)}; "
                f"bring one back, or delete {self._directory} to start this run again"
            )
        return None, []
