"""Which memory format a tensor has."""

from __future__ import annotations

import torch


def layout_of(x: torch.Tensor) -> torch.memory_format:
    """Channels last where x has it and nothing else, else contiguous, whatever its strides."""
    last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(x.dim())
    if last is not None and not x.is_contiguous() and x.is_contiguous(memory_format=last):
        return last
    return torch.contiguous_format
