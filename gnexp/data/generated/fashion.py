"""The embedded garments, plain or as scenes."""

from __future__ import annotations

import dataclasses

import torch

from gnexp.data.generated.fashion_mnist import load_fashion_mnist
from gnexp.data.generated.scenes import make_scenes
from gnexp.data.in_memory import InMemoryDataset, Split
from gnexp.data.kinds.fashion import NUM_HELD_OUT, FashionScenesConfig, InMemoryGarments


def open_fashion(config: InMemoryGarments, device: torch.device) -> InMemoryDataset:
    """Loads the embedded file.

    Raises:
        ValueError: more images asked for than there are.
    """
    return InMemoryDataset(config, device, *_splits(config))


def open_scenes(config: FashionScenesConfig, device: torch.device) -> InMemoryDataset:
    """Loads the embedded file and generates the scenes.

    Raises:
        ValueError: more images asked for than there are, or scenes that
            are not those of config.sha256.
    """
    train, val = (
        dataclasses.replace(split, images=make_scenes(split.images, config, name))
        for name, split in zip(("train", "val"), _splits(config), strict=True)
    )
    return InMemoryDataset(config, device, train, val)


def _splits(config: InMemoryGarments) -> tuple[Split, Split]:
    """Garments to train on and to score, as many as asked for."""
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
    return train, val
