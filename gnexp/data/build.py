"""Data sets of whatever kind."""

from __future__ import annotations

from collections.abc import Callable

import torch

from gnexp.config import DataConfig
from gnexp.config.kinds import import_text
from gnexp.data.dataset import Dataset


def build_dataset(config: DataConfig, device: torch.device, *, val_only: bool = False) -> Dataset:
    """Opens the data set, or generates it.

    Args:
        config: of the data set.
        device: where batches come to.
        val_only: nothing is asked of train, which need not be there where the kind can do without.

    Raises:
        ValueError: a data set that is missing or not what its config says.
    """
    build: Callable[..., Dataset] = import_text(config.builder)
    return build(config, device, **({"val_only": True} if val_only and config.has_val_alone else {}))
