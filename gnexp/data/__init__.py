"""Data sets, found by their kind."""

from __future__ import annotations

from collections.abc import Callable

import torch

from gnexp.config import DataConfig
from gnexp.data.coco.dataset import open_coco
from gnexp.data.dataset import Dataset
from gnexp.data.generated.fashion import open_fashion
from gnexp.data.generated.fashion_clips import open_fashion_clips
from gnexp.data.generated.fashion_coco import open_fashion_coco
from gnexp.data.images.downloaded import open_downloaded
from gnexp.data.images.imagefolder import ImageFolder
from gnexp.data.video.kinetics import open_kinetics

DATASETS: dict[str, Callable[[DataConfig, torch.device], Dataset]] = {
    "cifar10": open_downloaded,
    "coco": open_coco,
    "fashion": open_fashion,
    "fashion_clips": open_fashion_clips,
    "fashion_coco": open_fashion_coco,
    "fashion_mnist": open_downloaded,
    "fashion_scenes": open_fashion,
    "imagefolder": ImageFolder,
    "kinetics": open_kinetics,
}


def build_dataset(config: DataConfig, device: torch.device) -> Dataset:
    """Opens or makes the data set.

    Raises:
        ValueError: an unknown kind, or a data set that is missing or not what its config says.
    """
    if config.kind not in DATASETS:
        raise ValueError(f"data.kind must be one of {', '.join(DATASETS)}, got {config.kind}")
    return DATASETS[config.kind](config, device)
