"""Torch's arguments that every norm takes."""

from __future__ import annotations

import torch

from gnexp.config.fields import require
from gnexp.nn.norm_act import NormAct

Device = torch.device | str | int | None


def check_workers(workers: int) -> None:
    """Raises ValueError where that is no number of virtual workers."""
    is_number = isinstance(workers, int) and not isinstance(workers, bool) and workers >= 1
    require(is_number, f"workers must be a whole number, at least 1, got {workers}")


def settle(norm: NormAct, affine: bool, device: Device, dtype: torch.dtype | None) -> None:
    """Puts a new norm where it belongs; without an affine map it has the constants 1 and 0, which no file holds."""
    if not affine:
        for key in ("weight", "bias"):
            value = getattr(norm, key).detach()
            delattr(norm, key)
            norm.register_buffer(key, value, persistent=False)
    norm.to(device=device, dtype=dtype)
