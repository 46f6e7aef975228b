"""Data sets of whatever kind."""

from __future__ import annotations

from collections.abc import Callable

import torch

from gnexp.config import DataConfig
from gnexp.config.kinds import import_text
from gnexp.data.dataset import Dataset


def build_dataset(config: DataConfig, device: torch.device) -> Dataset:
    """Opens the data set, or generates it.

    Raises:
        ValueError: a data set that is missing or not what its config says.
    """
    build: Callable[[DataConfig, torch.device], Dataset] = import_text(config.builder)
    return build(config, device)
