"""The embedded garments, plain or as scenes: uint8 in memory, augmented in batches on the device."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from gnexp.config import DataConfig
from gnexp.data.dataset import Batch, Batches, Indices
from gnexp.data.fashion_mnist import load_fashion_mnist
from gnexp.data.scenes import make_scenes
from gnexp.ops import keyed

_CHUNK = (
    2048  # images augmented by one call: enough to make Python's share small, few enough to stay in cache
)
_SIDE = 28  # pixels, of a garment
_NUM_HELD_OUT = 5000  # training garments that val_source=train keeps for val


class FashionDataset:
    """Fashion-MNIST's embedded images, or scenes made of them, as a Dataset."""

    def __init__(self, config: DataConfig, device: torch.device) -> None:
        """Loads the embedded file and, for kind fashion_scenes, makes the scenes.

        Raises:
            ValueError: a setting that this kind does not have, more images asked for than there are, or scenes that
                are not those of config.sha256.
        """
        _check_settings(config)
        garments = load_fashion_mnist()
        train, val = (
            (garments.train_images, garments.train_labels),
            (garments.test_images, garments.test_labels),
        )
        if config.val_source == "train":
            # A prefix of the training images is class-balanced, and so is the rest.
            cut = len(train[0]) - _NUM_HELD_OUT
            train, val = (train[0][:cut], train[1][:cut]), (train[0][cut:], train[1][cut:])
        train_images, train_labels = _first(*train, config.num_train, "data.num_train")
        val_images, val_labels = _first(*val, config.num_val, "data.num_val")
        if config.kind == "fashion_scenes":
            train_images = make_scenes(train_images, config, "train")
            val_images = make_scenes(val_images, config, "val")
        self.fingerprint = _fingerprint(train_images, train_labels, val_images, val_labels)
        if config.sha256 not in (None, self.fingerprint):
            raise ValueError(
                f"data={config.name} made images with sha256 {self.fingerprint}, its config expects {config.sha256}; "
                "with other settings than its YAML's, give data.sha256=null or the new value"
            )
        self.num_train, self.num_val = len(train_images), len(val_images)
        self._config, self._device = config, device
        self._train_images, self._train_labels = (
            self._put(train_images),
            self._put(train_labels.astype(np.int64)),
        )
        self._val_images, self._val_labels = self._put(val_images), self._put(val_labels.astype(np.int64))
        self._mean, self._std = (
            torch.tensor(v, device=device).view(1, -1, 1, 1) for v in (config.mean, config.std)
        )

    def train_batches(self, seed: int, epoch: int, steps: Sequence[Indices]) -> Batches:
        """One batch per entry of `steps`, flipped and shifted by (seed, epoch, sample index)."""
        for chunk in _chunks(steps):
            indices = np.concatenate(chunk)
            draws = keyed.uniform(seed, "augment", epoch, indices, 3)
            images = self._train_images[self._put(indices)]
            images = self._normalize(augment(images, draws, flip=self._config.flip, shift=self._config.shift))
            yield from _split(images, self._train_labels[self._put(indices)], chunk)

    def val_batches(self, steps: Sequence[Indices]) -> Batches:
        """One batch per entry of `steps`, as they are."""
        for chunk in _chunks(steps):
            indices = self._put(np.concatenate(chunk))
            yield from _split(self._normalize(self._val_images[indices]), self._val_labels[indices], chunk)

    def _put(self, array: npt.NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _normalize(self, images: torch.Tensor) -> torch.Tensor:
        return images.unsqueeze(1).float().div_(255).sub_(self._mean).div_(self._std)


def augment(images: torch.Tensor, draws: npt.NDArray[np.float64], *, flip: bool, shift: int) -> torch.Tensor:
    """Flips each image with probability 1/2 and moves it by up to `shift` pixels each way, edges repeated.

    Args:
        images: (N, H, W).
        draws: uniform in [0, 1), (N, 3): flip, vertical and horizontal shift.
        flip: whether to flip.
        shift: pixels.
    """
    height, width = images.shape[1:]
    if flip:
        flipped = torch.from_numpy(draws[:, 0] < 0.5).to(images.device)
        images = torch.where(flipped[:, None, None], images.flip(2), images)
    if shift:
        moves = torch.from_numpy(np.floor(draws[:, 1:] * (2 * shift + 1)).astype(np.int64) - shift).to(
            images.device
        )
        rows = (torch.arange(height, device=images.device) + moves[:, :1]).clamp_(0, height - 1)
        columns = (torch.arange(width, device=images.device) + moves[:, 1:]).clamp_(0, width - 1)
        samples = torch.arange(len(images), device=images.device)
        images = images[samples[:, None, None], rows[:, :, None], columns[:, None, :]]
    return images


def _check_settings(config: DataConfig) -> None:
    """A setting that would be ignored is refused: it would name another run and compute the same one."""
    foreign = ["crop_area", "crop_aspect", "jitter", "lighting", "eval_resize", "root"]
    if config.kind == "fashion":
        foreign += ["exposure", "clutter"]
        if config.image_size != _SIDE:
            raise ValueError(f"data.image_size must be {_SIDE} for kind fashion, got {config.image_size}")
    for key in foreign:
        if getattr(config, key) is not None:
            raise ValueError(
                f"data.{key} is not for kind {config.kind}, got {getattr(config, key)}; leave it out"
            )
    for key, needed in (("channels", 1), ("num_classes", 10)):
        if getattr(config, key) != needed:
            raise ValueError(
                f"data.{key} must be {needed} for kind {config.kind}, got {getattr(config, key)}"
            )


def _first(
    images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], num: int | None, key: str
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    if num is not None and not 1 <= num <= len(images):
        raise ValueError(f"{key} must be between 1 and {len(images)}, got {num}")
    return images[:num], labels[:num]


def _fingerprint(*arrays: npt.NDArray[np.uint8]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _chunks(steps: Sequence[Indices]) -> Iterator[Sequence[Indices]]:
    """Runs of whole steps with about _CHUNK images each."""
    size = max(1, _CHUNK // len(steps[0])) if steps else 1
    for start in range(0, len(steps), size):
        yield steps[start : start + size]


def _split(images: torch.Tensor, labels: torch.Tensor, chunk: Sequence[Indices]) -> Iterator[Batch]:
    sizes = [len(step) for step in chunk]
    parts = zip(torch.split(images, sizes), torch.split(labels, sizes), chunk, strict=True)
    for step_images, step_labels, indices in parts:
        yield Batch(step_images, step_labels, indices)
