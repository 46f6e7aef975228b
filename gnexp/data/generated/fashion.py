"""The embedded garments, plain or as scenes."""

from __future__ import annotations

import dataclasses

import torch

from gnexp.config import DataConfig
from gnexp.data.generated.fashion_mnist import load_fashion_mnist
from gnexp.data.generated.scenes import make_scenes
from gnexp.data.in_memory import SIZES, InMemoryDataset, Split, check_settings

_SIDE = 28  # pixels, of a garment
NUM_HELD_OUT = 5000  # training garments that val_source=train keeps for val


def open_fashion(config: DataConfig, device: torch.device) -> InMemoryDataset:
    """Loads the embedded file and, for kind fashion_scenes, generates the scenes.

    Raises:
        ValueError: a setting that this kind does not have, more images asked for than there are, or scenes that
            are not those of config.sha256.
    """
    plain = config.kind == "fashion"
    check_settings(
        config,
        needed={"channels": 1, "num_classes": 10} | ({"image_size": _SIDE} if plain else {}),
        foreign=("root", *SIZES, *(("exposure", "clutter") if plain else ())),
    )
    garments = load_fashion_mnist()
    train = Split(garments.train_images, garments.train_labels)
    val = Split(garments.test_images, garments.test_labels)
    if config.val_source == "train":
        # A prefix of the training images is class-balanced, and so is the rest.
        cut = len(train.images) - NUM_HELD_OUT
        train, val = (
            Split(train.images[part], train.labels[part]) for part in (slice(cut), slice(cut, None))
        )
    train = train.first(config.num_train, "data.num_train")
    val = val.first(config.num_val, "data.num_val")
    if not plain:
        train = dataclasses.replace(train, images=make_scenes(train.images, config, "train"))
        val = dataclasses.replace(val, images=make_scenes(val.images, config, "val"))
    return InMemoryDataset(config, device, train, val)
