"""Images that fit in memory, as a Dataset: uint8, augmented and normalized in batches on the device."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from gnexp.data.dataset import Batch, Batches, Indices, check_num
from gnexp.data.kinds.in_memory import InMemoryConfig
from gnexp.ops import keyed

# Images augmented by one call: enough to make Python's share small, few enough to stay in cache.
_CHUNK = 2048


@dataclass(frozen=True)
class Split:
    """The images of a split and their labels."""

    images: npt.NDArray[np.uint8]  # (N, H, W) or (N, C, H, W)
    labels: npt.NDArray[np.uint8]  # (N,)

    def first(self, num: int | None, key: str) -> Split:
        """The first `num` images (None = all).

        Raises:
            ValueError: fewer images than `num`, or `num` below 1; names the config's `key`.
        """
        check_num(num, len(self.images), key, "the images that there are")
        return Split(self.images[:num], self.labels[:num])


class InMemoryDataset:
    """A train and a val split held on the device.

    Args:
        config: its flip, shift, mean, std and sha256 are followed.
        device: where the images are.
        train: as many images as wanted, not normalized.
        val: likewise.

    Raises:
        ValueError: images that are not those of config.sha256.
    """

    def __init__(self, config: InMemoryConfig, device: torch.device, train: Split, val: Split) -> None:
        self.fingerprint = _fingerprint(train.images, train.labels, val.images, val.labels)
        if config.sha256 not in (None, self.fingerprint):
            raise ValueError(
                f"data={config.name} gave images with sha256 {self.fingerprint}, its config expects {config.sha256}; "
                "give data.sha256=null or the new value"
            )
        self.num_train, self.num_val = len(train.images), len(val.images)
        self.notes: list[str] = []
        self.skipped: dict[str, str] = {}
        self._config, self._device = config, device
        self._train_images, self._val_images = (self._put(_with_channels(s.images)) for s in (train, val))
        self._train_labels, self._val_labels = (self._put(s.labels.astype(np.int64)) for s in (train, val))
        self._mean, self._std = (
            torch.tensor(v, device=device).view(1, -1, 1, 1) for v in (config.mean, config.std)
        )

    def train_batches(self, seed: int, epoch: int, steps: Sequence[Indices]) -> Batches:
        """One batch per entry of `steps`, flipped and shifted by (seed, epoch, sample index)."""
        for chunk in _chunks(steps):
            indices = np.concatenate(chunk)
            # The flip's number is the first, however many are drawn.
            draws = keyed.uniform(seed, "augment", epoch, indices, 3 if self._config.shift else 1)
            places = self._put(indices)
            images = self._train_images.index_select(0, places)
            images = self._normalize(augment(images, draws, flip=self._config.flip, shift=self._config.shift))
            yield from _split(images, self._train_labels[places], chunk)

    def val_batches(self, steps: Sequence[Indices]) -> Batches:
        """One batch per entry of `steps`, as they are."""
        for chunk in _chunks(steps):
            indices = self._put(np.concatenate(chunk))
            yield from _split(self._normalize(self._val_images[indices]), self._val_labels[indices], chunk)

    def _put(self, array: npt.NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _normalize(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().div_(255).sub_(self._mean).div_(self._std)


def augment(images: torch.Tensor, draws: npt.NDArray[np.float64], *, flip: bool, shift: int) -> torch.Tensor:
    """Flips each image with probability 1/2 and moves it by up to `shift` pixels each way, edges repeated.

    Args:
        images: (N, H, W) or (N, C, H, W).
        draws: uniform in [0, 1), (N, 3): flip, vertical and horizontal shift; (N, 1) does without a shift.
        flip: whether to flip.
        shift: pixels.

    Returns:
        Of the images' shape and dtype.
    """
    height, width = images.shape[-2:]
    planes = images.reshape(len(images), -1, height, width)
    if flip:
        flipped = torch.from_numpy(draws[:, 0] < 0.5).to(images.device)
        planes = torch.where(flipped[:, None, None, None], planes.flip(3), planes)
    if shift:
        moves = torch.from_numpy(np.floor(draws[:, 1:] * (2 * shift + 1)).astype(np.int64) - shift).to(
            images.device
        )
        rows = (torch.arange(height, device=images.device) + moves[:, :1]).clamp_(0, height - 1)
        columns = (torch.arange(width, device=images.device) + moves[:, 1:]).clamp_(0, width - 1)
        samples = torch.arange(len(images), device=images.device)[:, None, None, None]
        channels = torch.arange(planes.shape[1], device=images.device)[:, None, None]
        planes = planes[samples, channels, rows[:, None, :, None], columns[:, None, None, :]]
    return planes.view(images.shape)


def _with_channels(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return images if images.ndim == 4 else images[:, None]


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
