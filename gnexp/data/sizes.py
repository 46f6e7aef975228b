"""How many training images a data set has, where that can be told without making or reading any."""

from __future__ import annotations

from pathlib import Path

import torch

from gnexp.config import DataConfig
from gnexp.data import build_dataset
from gnexp.data.generated.fashion import NUM_HELD_OUT

_KNOWN = {"cifar10": 50_000, "fashion": 20_000, "fashion_mnist": 60_000, "fashion_scenes": 20_000}


def num_train_images(config: DataConfig) -> int | None:
    """Training images of a data set; None for a folder that is not here and of which no size is expected.

    Raises:
        ValueError: a folder that is here and not what its config says.
    """
    if config.num_train is not None:
        return config.num_train
    if config.kind in _KNOWN:
        return _KNOWN[config.kind] - (NUM_HELD_OUT if config.val_source == "train" else 0)
    if config.root is not None and Path(config.root).expanduser().is_dir():
        return build_dataset(config, torch.device("cpu")).num_train
    return config.expected_train
