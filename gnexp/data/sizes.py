"""How many training images a data set has, where that can be told without making or reading any."""

from __future__ import annotations

from pathlib import Path

import torch

from gnexp.config import DataConfig
from gnexp.config.fields import value_of
from gnexp.data.build import build_dataset


def num_train_images(config: DataConfig) -> int | None:
    """Training images of a data set; None for a folder that is not here and of which no size is expected.

    Raises:
        ValueError: a folder that is here and not what its config says.
    """
    if config.num_train is not None:
        return config.num_train
    if config.num_known is not None:
        return config.num_known - (config.num_held_out if value_of(config, "val_source") == "train" else 0)
    if config.folder is not None and Path(config.folder).expanduser().is_dir():
        return build_dataset(config, torch.device("cpu")).num_train
    found: int | None = value_of(config, "expected_train")
    return found
