"""Checkpoints: written whole or not at all, told from damaged ones by a hash, read without executing anything."""

from __future__ import annotations

import contextlib
import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import torch

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
        write_text(_hash_of(path), f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")
        write_bytes(path, content)
    except OSError:
        if not path.exists():
            _hash_of(path).unlink(missing_ok=True)
        raise


def load_tensors(path: Path, device: torch.device) -> dict[str, Any]:
    """Reads what save_tensors wrote.

    Raises:
        ValueError: the file is damaged, of a newer format, or holds more than tensors and plain values.
    """
    try:
        content = path.read_bytes()
        expected = _hash_of(path).read_text(encoding="utf-8").split()[0]
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
        directory: the folder; made when something is saved.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        remove_leftovers(directory)

    @property
    def paths(self) -> list[Path]:
        """The checkpoints there are, newest first."""
        return sorted(self._directory.glob("epoch*-step*.pt"), reverse=True)

    def save(self, values: dict[str, Any], *, epoch: int, step: int) -> None:
        """Adds a checkpoint, then removes all but the newest.

        Raises:
            OSError: the disk is full or not writable; the older checkpoints are still there.
        """
        # Numbers of fixed width: the order of the names is the order of time.
        save_tensors(self._directory / f"epoch{epoch:05d}-step{step:09d}.pt", values)
        for old in self.paths[_KEPT:]:
            old.unlink()
            with contextlib.suppress(OSError):
                _hash_of(old).unlink()

    def load(self, device: torch.device) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest checkpoint that is whole, or None where there is none, and a warning for each damaged one.

        Damaged ones are put aside once a whole one is found, as NAME.damaged.

        Raises:
            ValueError: there are checkpoints, and none is whole.
        """
        problems: list[str] = []
        for path in self.paths:
            try:
                values = load_tensors(path, device)
            except ValueError as error:
                problems.append(str(error))
                continue
            for damaged in self.paths[: len(problems)]:
                damaged.rename(damaged.with_name(f"{damaged.name}.damaged"))
                _hash_of(damaged).unlink(missing_ok=True)
            return values, problems
        if problems:
            raise ValueError(
                f"no checkpoint is whole: {'; '.join(problems)}; "
                f"bring one back, or delete {self._directory.parent} to start this run again"
            )
        return None, []


def _hash_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
