"""Images in memory: augmentation of whole batches, normalization per channel, the fingerprint's check."""

import numpy as np
import pytest
import torch

from gnexp.config import data_config
from gnexp.data.in_memory import InMemoryDataset, Split, augment

CPU = torch.device("cpu")


def test_augment_flips_and_shifts() -> None:
    image = torch.arange(16, dtype=torch.uint8).view(1, 4, 4)
    low, middle, high = 0.0, 0.5, 0.999
    assert torch.equal(augment(image, np.array([[high, middle, middle]]), flip=True, shift=1), image)
    assert torch.equal(augment(image, np.array([[low, middle, middle]]), flip=True, shift=1), image.flip(2))
    assert torch.equal(augment(image, np.array([[low, low, low]]), flip=False, shift=0), image)
    down = augment(image, np.array([[high, low, middle]]), flip=True, shift=1)
    assert torch.equal(down[0], image[0][[0, 0, 1, 2]])
    left = augment(image, np.array([[high, middle, high]]), flip=True, shift=1)
    assert torch.equal(left[0], image[0][:, [1, 2, 3, 3]])


@pytest.mark.parametrize("shift", [0, 3])
def test_augment_moves_an_images_channels_together(shift: int) -> None:
    rng = np.random.default_rng(0)
    planes = torch.from_numpy(rng.integers(0, 256, (9, 3, 6, 7), dtype=np.uint8))
    draws = rng.random((9, 3))
    together = augment(planes, draws, flip=True, shift=shift)
    apart = [augment(planes[:, channel], draws, flip=True, shift=shift) for channel in range(3)]
    assert together.shape == planes.shape and together.dtype == torch.uint8
    assert torch.equal(together, torch.stack(apart, dim=1))
    assert not torch.equal(together, planes)


def color_split(num: int) -> Split:
    rng = np.random.default_rng(num)
    images = rng.integers(0, 256, (num, 3, 4, 4), dtype=np.uint8)
    return Split(images, rng.integers(0, 10, num, dtype=np.uint8))


COLOR = data_config(
    name="c", kind="cifar10", channels=3, mean=(0.1, 0.5, 0.9), std=(0.2, 0.3, 0.4), flip=False
)


def test_each_channel_has_its_own_mean_and_std() -> None:
    train, val = color_split(5), color_split(4)
    dataset = InMemoryDataset(COLOR, CPU, train, val)
    for split, batches in (
        (train, dataset.train_batches(0, 0, [np.array([3, 1])])),
        (val, dataset.val_batches([np.array([3, 1])])),
    ):
        (batch,) = batches
        for channel in range(3):
            pixels = torch.from_numpy(split.images[[3, 1], channel]).float() / 255
            expected = (pixels - COLOR.mean[channel]) / COLOR.std[channel]
            torch.testing.assert_close(batch.images[:, channel], expected)
        assert batch.labels.tolist() == split.labels[[3, 1]].tolist()


def test_the_fingerprint_sees_every_image_and_label() -> None:
    def fingerprint(train: Split, val: Split) -> str:
        return InMemoryDataset(COLOR, CPU, train, val).fingerprint

    found = {fingerprint(color_split(5), color_split(4))}
    for which in (0, 1):
        for name in ("images", "labels"):
            splits = color_split(5), color_split(4)
            getattr(splits[which], name)[-1] ^= 1
            found.add(fingerprint(*splits))
    assert len(found) == 5
    assert fingerprint(color_split(5), color_split(4)) in found
