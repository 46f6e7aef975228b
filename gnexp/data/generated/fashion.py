"""The embedded garments, plain or as scenes."""

from __future__ import annotations

import dataclasses

import torch

from gnexp.data.generated.fashion_mnist import load_fashion_mnist
from gnexp.data.generated.scenes import make_scenes
from gnexp.data.in_memory import InMemoryDataset, Split
from gnexp.data.kinds.fashion import NUM_HELD_OUT, FashionScenesConfig, InMemoryGarments


def open_fashion(config: InMemoryGarments, device: torch.device) -> InMemoryDataset:
    """Loads the embedded file and generates the scenes, if it is to be scenes.

    Raises:
        ValueError: more images asked for than there are, or scenes that
            are not those of config.sha256.
    """
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
    if isinstance(config, FashionScenesConfig):
        train = dataclasses.replace(train, images=make_scenes(train.images, config, "train"))
        val = dataclasses.replace(val, images=make_scenes(val.images, config, "val"))
    return InMemoryDataset(config, device, train, val)
