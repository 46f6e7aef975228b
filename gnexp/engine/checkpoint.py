"""Checkpoints: written whole or not at all, read without executing anything."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from gnexp.files import write_bytes

FORMAT = 1


def save_checkpoint(path: Path, values: dict[str, Any]) -> None:
    """Writes tensors and plain values atomically.

    Raises:
        OSError: the disk is full or not writable; the old checkpoint is still there.
    """
    # Through memory: torch turns a full disk into a RuntimeError when it writes to a path itself.
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **values}, buffer)
    write_bytes(path, buffer.getvalue())


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Reads what save_checkpoint wrote.

    Raises:
        ValueError: the file is damaged, of another format, or holds more than tensors and plain values.
    """
    try:
        values: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} cannot be read ({first_line}); delete it to start this run again") from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        found = values.get("format") if isinstance(values, dict) else type(values).__name__
        raise ValueError(
            f"{path} has format {found}, this gnexp reads format {FORMAT}; use the gnexp that wrote it"
        )
    return values
